"""The reads that the domain needs from a storage, as narrow protocols.

:class:`service.storage.Storage` and its stores have all of them; a test may pass anything else
that has the methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ham.client.records import (
    ALL_COMBINATIONS,
    Benchmark,
    CombinationFilter,
    ParetoFront,
    Purpose,
    Recommendation,
    Run,
    Study,
    SurfaceGrid,
)
from service.records import StudyRunCounts


class StudyReads(Protocol):
    """Reads of studies."""

    def get(self, study_id: str) -> Study:
        """Return a study. Raises NotFound."""
        ...


class TrainingReads(Protocol):
    """Reads of measured trainings."""

    def trainings(self, which: CombinationFilter, limit: int) -> list[Run]:
        """Return the trainings behind the newest ``limit`` succeeded runs, each once."""
        ...


class SearchReads(Protocol):
    """Reads of the search of a study."""

    def of_study(self, study_id: str, purpose: Purpose | None = None) -> list[Run]:
        """Return the runs of a study, oldest first."""
        ...

    def accuracies(self, study_id: str, epochs: Sequence[int]) -> dict[str, dict[int, float]]:
        """Return validation accuracies of the ended search runs of a study, by run and epoch."""
        ...


class RunCountReads(Protocol):
    """Reads of the run counts of studies."""

    def of(self, studies: Sequence[Study]) -> dict[str, StudyRunCounts]:
        """Return the run counts of each study by its id."""
        ...


class RecommendationReads(Protocol):
    """Reads of recommendations."""

    def latest(self, which: CombinationFilter = ALL_COMBINATIONS) -> list[Recommendation]:
        """Return the newest recommendation of each matching combination, newest first."""
        ...

    def benchmarks(self) -> list[Benchmark]:
        """Return every benchmark that has at least one recommendation."""
        ...

    def surface(self, recommendation_id: str) -> SurfaceGrid:
        """Return the response surface of a recommendation. Raises NotFound."""
        ...


class ParetoFrontReads(Protocol):
    """Reads of Pareto fronts."""

    def of_study(self, study_id: str) -> ParetoFront | None:
        """Return the Pareto front of a study; None if it has none."""
        ...


class TunedCombinations(Protocol):
    """Recommendations, and the studies that they come from."""

    @property
    def studies(self) -> StudyReads:
        """Studies."""
        ...

    @property
    def recommendations(self) -> RecommendationReads:
        """Recommendations."""
        ...


class StudiesWithParetoFronts(Protocol):
    """Studies and their Pareto fronts."""

    @property
    def studies(self) -> StudyReads:
        """Studies."""
        ...

    @property
    def pareto_fronts(self) -> ParetoFrontReads:
        """Pareto fronts."""
        ...
