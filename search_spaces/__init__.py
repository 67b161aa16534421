"""Declared search spaces and training recipes: data files, validated when loaded."""

from search_spaces.catalog import plugins, recipe_for, recipes, space_for, spaces, tunable
from search_spaces.space import JOINT, Joint, LogRange, SearchSpace

__all__ = [
    "JOINT",
    "Joint",
    "LogRange",
    "SearchSpace",
    "plugins",
    "recipe_for",
    "recipes",
    "space_for",
    "spaces",
    "tunable",
]
