"""The query that names combinations, which several lists and lookups take."""

from __future__ import annotations

from pydantic import Field

from ham.client.records import CombinationFilter


class CombinationQuery(CombinationFilter):
    """A filter of combinations; a field that is left out matches all."""

    model: str | None = Field(None, max_length=100, description="Name.", examples=["digits_cnn"])
    dataset: str | None = Field(None, max_length=100, description="Name.", examples=["digits"])
    sparsifier: str | None = Field(None, max_length=100, description="Name.", examples=["random"])
    sparsity: float | None = Field(
        None, ge=0, lt=1, description="Fraction of zero weights.", examples=[0.9]
    )
    optimizer: str | None = Field(None, max_length=100, description="Name.", examples=["sgd"])
    recipe: str | None = Field(
        None,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.-]+@[0-9]+$",
        description="Id: name and version.",
        examples=["digits@1"],
    )

    def combinations(self) -> CombinationFilter:
        """Return the filter alone, without the fields of subclasses."""
        return CombinationFilter(**self.model_dump(include=set(CombinationFilter.model_fields)))
