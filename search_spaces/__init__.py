"""Declared search spaces and training recipes: data files, validated when loaded."""

from search_spaces.catalog import plugins, recipe_for, recipes, space_for, spaces, tunable
from search_spaces.space import (
    JOINT,
    SCHEDULED,
    TUNABLE,
    Branch,
    LogRange,
    Scheduled,
    SearchSpace,
    Tunable,
)

__all__ = [
    "JOINT",
    "SCHEDULED",
    "TUNABLE",
    "Branch",
    "LogRange",
    "Scheduled",
    "SearchSpace",
    "Tunable",
    "plugins",
    "recipe_for",
    "recipes",
    "space_for",
    "spaces",
    "tunable",
]
