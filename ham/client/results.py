"""Client methods on results: recommendations, leaderboards, combinations, runs, exports."""

from __future__ import annotations

from typing import Unpack

from pydantic import RootModel

from ham.client.filters import CombinationKeywords
from ham.client.records import (
    Benchmark,
    CombinationEntry,
    EpochMetrics,
    ExternalRun,
    Leaderboard,
    LogLevel,
    LogLine,
    NewExternalRun,
    Overview,
    PublishedResult,
    Purpose,
    Recommendation,
    Run,
    RunState,
    SurfaceGrid,
    Untuned,
)
from ham.client.transport import Transport


class ResultMethods(Transport):
    """Methods on results."""

    def recommendations(
        self, limit: int | None = None, **combination: Unpack[CombinationKeywords]
    ) -> list[Recommendation]:
        """Return the newest recommendation of each combination that matches, newest first.

        Raises:
            RequestRefused: with status 404 where one combination is named that has none.
        """
        return self._walk(Recommendation, "/v1/recommendations", limit=limit, **combination)

    def transferred(self, **combination: Unpack[CombinationKeywords]) -> Untuned:
        """Return what similar combinations, or the paper, suggest for one that is not tuned.

        Raises:
            RequestRefused: with status 404 where nothing is known.
        """
        path = "/v1/recommendations/transferred"
        return self._get(RootModel[Untuned], path, **combination).root

    def surface(self, recommendation: Recommendation) -> SurfaceGrid:
        """Return the response surface behind a recommendation, on a grid."""
        return self._get(SurfaceGrid, f"/v1/recommendations/{recommendation.id}/surface")

    def leaderboards(self, limit: int | None = None) -> list[Leaderboard]:
        """Return the leaderboards, by name of the benchmark."""
        return self._walk(Leaderboard, "/v1/leaderboards", limit=limit)

    def leaderboard(self, benchmark: str) -> Leaderboard:
        """Return the leaderboard of a benchmark."""
        return self._get(Leaderboard, f"/v1/leaderboards/{benchmark}")

    def overview(self) -> Overview:
        """Return all methods compared over all benchmarks."""
        return self._get(Overview, "/v1/leaderboards/overview")

    def benchmarks(self) -> list[Benchmark]:
        """Return the benchmarks that have a leaderboard."""
        return self._walk(Benchmark, "/v1/benchmarks")

    def combinations(
        self, limit: int | None = None, **combination: Unpack[CombinationKeywords]
    ) -> list[CombinationEntry]:
        """Return the stored combinations that match."""
        return self._walk(CombinationEntry, "/v1/combinations", limit=limit, **combination)

    def combination(self, combination_id: int) -> CombinationEntry:
        """Return a stored combination."""
        return self._get(CombinationEntry, f"/v1/combinations/{combination_id}")

    def recommendation_versions(
        self, combination_id: int, limit: int | None = None
    ) -> list[Recommendation]:
        """Return all recommendations that a combination has had, newest first."""
        path = f"/v1/combinations/{combination_id}/recommendations"
        return self._walk(Recommendation, path, limit=limit)

    def all_runs(
        self,
        limit: int | None = 50,
        *,
        study_id: str | None = None,
        purpose: Purpose | None = None,
        state: RunState | None = None,
        **combination: Unpack[CombinationKeywords],
    ) -> list[Run]:
        """Return runs of all studies, newest first: at most ``limit``, all where it is None."""
        return self._walk(
            Run,
            "/v1/runs",
            limit=limit,
            study_id=study_id,
            purpose=purpose,
            state=state,
            **combination,
        )

    def run(self, run_id: str) -> Run:
        """Return a run."""
        return self._get(Run, f"/v1/runs/{run_id}")

    def curve(self, run_id: str) -> list[EpochMetrics]:
        """Return the metrics of a run after each epoch."""
        return self._walk(EpochMetrics, f"/v1/runs/{run_id}/curve")

    def run_logs(
        self, run_id: str, level: LogLevel | None = None, limit: int | None = None
    ) -> list[LogLine]:
        """Return the log of a run from a level on, oldest line first."""
        return self._walk(LogLine, f"/v1/runs/{run_id}/logs", limit=limit, level=level)

    def report_run(self, run: NewExternalRun) -> ExternalRun:
        """Store a run that was trained outside of the service."""
        return self._post(ExternalRun, "/v1/runs", run)

    def external_runs(
        self, limit: int | None = None, **combination: Unpack[CombinationKeywords]
    ) -> list[ExternalRun]:
        """Return the runs that were trained outside of the service, newest first."""
        return self._walk(ExternalRun, "/v1/external-runs", limit=limit, **combination)

    def published(self) -> list[PublishedResult]:
        """Return the results that papers report."""
        return self._walk(PublishedResult, "/v1/published")

    def export(
        self,
        table: str,
        format: str = "jsonl",
        *,
        purpose: Purpose | None = None,
        **combination: Unpack[CombinationKeywords],
    ) -> bytes:
        """Return a whole table as a file.

        Args:
            table: name of the table, for example ``runs`` or ``leaderboards``.
            format: ``jsonl``, ``csv`` or ``parquet``.
            purpose: only the runs of one purpose, where the table is ``runs``.
            **combination: only the rows of combinations that match.

        Raises:
            RequestRefused: no table has this name; the text lists the names.
        """
        path = f"/v1/exports/{table}"
        return self._read(path, format=format, purpose=purpose, **combination).content
