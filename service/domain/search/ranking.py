"""Which runs of a study count, the surface fitted to them, and the order of configurations.

``earlier`` are runs of other studies of the same combination that had ended before this study
began. They inform the surface. Only ``runs`` count as results of this study.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import fmean

from ham.client.records import Plan, Purpose, Run, RunState
from ham.config import HamConfig
from service.domain.search.surface import (
    MIN_RUNS,
    Observation,
    Surface,
    fit_surface,
    observations,
)


def runs_for(runs: Iterable[Run], purpose: Purpose) -> list[Run]:
    """Return the runs of one stage."""
    return [run for run in runs if run.purpose == purpose]


def succeeded(runs: Iterable[Run]) -> list[Run]:
    """Return the runs that reached full length with a result."""
    return [run for run in runs if run.state == RunState.SUCCEEDED]


def commonest_error(runs: Iterable[Run]) -> str:
    """Return why most of the failed runs failed, as a part of a sentence."""
    errors = Counter(run.error for run in runs if run.error)
    if not errors:
        return "none was run"
    error, count = errors.most_common(1)[0]
    return f"the commonest reason ({count} runs): {error}"


def surface_of(plan: Plan, runs: Iterable[Run], earlier: Iterable[Run] = ()) -> Surface | None:
    """Return the surface fitted to the runs of search and screening, or None with too few of them.

    Confirmation runs are left out, also those of earlier studies. Their seeds are the same in
    every study, and no choice may look at the runs that confirm it.
    """
    seen = observations_of(plan, runs, earlier)
    if sum(observation.counts_fully for observation in seen) < MIN_RUNS:
        return None
    return fit_surface(plan.space, seen, plan.prior)


def observations_of(
    plan: Plan, runs: Iterable[Run], earlier: Iterable[Run] = ()
) -> tuple[Observation, ...]:
    """Return the observations of search and screening that lie in the plan's space.

    An earlier study may have searched another version of the space. Its runs count only where
    this space contains their configurations, because coordinates outside of it are not defined.
    """
    own = [run for run in runs if plan.space.spans(run.setting)]
    within = [run for run in earlier if plan.space.contains(run.setting)]
    return observations(
        run for run in [*own, *within] if run.purpose in (Purpose.SEARCH, Purpose.SCREENING)
    )


def by_accuracy(runs: Iterable[Run]) -> list[HamConfig]:
    """Return the configurations of runs, the highest validation accuracy first."""

    def order(run: Run) -> tuple[float, float, float]:
        return -(run.validation_accuracy or 0.0), run.setting.alpha, run.setting.beta

    return [run.setting for run in sorted(runs, key=order)]


def rank(
    plan: Plan,
    runs: Sequence[Run],
    earlier: Sequence[Run],
    candidates: Sequence[HamConfig],
    caution: float = 0.0,
) -> tuple[HamConfig, ...]:
    """Return the candidates in order: results on fresh seeds first, then by failures and accuracy.

    Args:
        plan: the plan of the study.
        runs: the study's own.
        earlier: those of earlier studies of the combination.
        candidates: what is ranked.
        caution: standard deviations of the surface by which its mean is lowered. Without a
            surface the mean validation accuracy of the screening counts, and caution does not.
    """
    screening = runs_for(runs, Purpose.SCREENING)
    expected = _expected(surface_of(plan, runs, earlier), screening, candidates, caution)

    def order(candidate: HamConfig) -> tuple[bool, int, float]:
        own = [run for run in screening if run.setting == candidate]
        failures = sum(run.state not in (RunState.SUCCEEDED, RunState.RUNNING) for run in own)
        return not succeeded(own), failures, -expected[candidate]

    return tuple(sorted(candidates, key=order))


def _expected(
    surface: Surface | None,
    screening: Sequence[Run],
    candidates: Sequence[HamConfig],
    caution: float,
) -> dict[HamConfig, float]:
    if surface is not None:
        bound = surface.mean(candidates) - caution * surface.deviation(candidates)
        return dict(zip(candidates, bound.tolist(), strict=True))
    accuracies: dict[HamConfig, list[float]] = {candidate: [] for candidate in candidates}
    for run in succeeded(screening):
        accuracies.get(run.setting, []).append(run.validation_accuracy or 0.0)
    return {candidate: fmean(own) if own else -math.inf for candidate, own in accuracies.items()}
