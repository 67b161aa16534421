"""Combinations on digits, to be varied by keyword."""

from __future__ import annotations

from ham.config import Combination
from search_spaces import recipe_for

METHODS = ("random", "rigl", "set", "acdc", "gmp", "snip")


def combination(
    model: str = "digits_cnn", sparsifier: str = "random", sparsity: float = 0.9
) -> Combination:
    return Combination(
        model=model,
        dataset="digits",
        sparsifier=sparsifier,
        sparsity=sparsity,
        optimizer="sgd",
        recipe=recipe_for("digits").id,
    )
