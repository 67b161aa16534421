"""Search spaces and training recipes: TOML files that are validated when loaded."""

from search_spaces.catalog import (
    plugins,
    recipe_for,
    recipes,
    space_for,
    spaces,
    tunable_sparsifiers,
)
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
    "tunable_sparsifiers",
]
