"""Declared search spaces and training recipes: data files, validated when loaded."""

from search_spaces.catalog import recipe_for, recipes, space_for, spaces
from search_spaces.space import LogRange, SearchSpace

__all__ = ["LogRange", "SearchSpace", "recipe_for", "recipes", "space_for", "spaces"]
