"""Early stopping: which search trials are not worth the rest of their epochs.

Pure rules over what the trials of a study have reported. Three guards keep them honest:

- nothing is judged before the target sparsity is reached: until then a denser network is
  measured, and the less of it is pruned yet, the better it looks;
- nothing is stopped before eight trials have run to full length;
- nothing is stopped at an epoch whose accuracies do not foretell the final ones: where Spearman's
  rank correlation over the trials that ran to full length is below 0.7, all of them do.

Trials that were stopped leave no final accuracy, so the correlation is measured on better and
better trials, among which ranks are harder to tell: it falls, and early stopping errs towards
switching itself off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ham.catalog import SPARSIFIERS
from ham.client.records import (
    EarlyStopping,
    EarlyStoppingReport,
    EarlyStoppingState,
    Plan,
    Purpose,
    Rung,
    RunState,
    Study,
)
from ham.config import Combination, Recipe
from service.domain.ports import SearchReads

Accuracies = Mapping[int, float]
"""Validation accuracy by epoch, of one trial."""

REDUCTION = 3
"""One of so many trials goes on beyond a rung (eta of the papers)."""
FEWEST_FINISHED = 8
LEAST_RANK_CORRELATION = 0.7
_SHORTEST_LONG_RUN = 50


class History(NamedTuple):
    """What the trials of a study have reported.

    Attributes:
        accuracies: of every trial by number, whatever became of it.
        final: accuracy of the trials that ran to full length.
    """

    accuracies: Mapping[int, Accuracies]
    final: Mapping[int, float]


class Verdict(NamedTuple):
    """Whether to stop a trial, and what the decision rests on."""

    stop: bool
    rank_correlation: float | None


GO_ON = Verdict(stop=False, rank_correlation=None)


def ready_epoch(combination: Combination, recipe: Recipe) -> int:
    """Return the first epoch that is wholly trained at the target sparsity."""
    held = SPARSIFIERS.get(combination.sparsifier).sparse_from(combination.sparsity)
    return math.ceil(round(held * combination.epochs(recipe), 9)) + 1


def rungs(combination: Combination, recipe: Recipe) -> tuple[int, ...]:
    """Return the epochs after which trials are compared, the last epoch left out.

    They begin at a 27th of the run, or when the target sparsity is reached, and then grow by the
    reduction factor.
    """
    epochs = combination.epochs(recipe)
    rung = max(ready_epoch(combination, recipe), math.ceil(epochs / REDUCTION**3))
    found = []
    while rung < epochs:
        found.append(rung)
        rung *= REDUCTION
    return tuple(found)


def decisions(plan: Plan) -> tuple[int, ...]:
    """Return the epochs after which a search trial may be stopped; it waits there."""
    if plan.early_stopping == "none":
        return ()
    marks = rungs(plan.combination, plan.recipe)
    if plan.early_stopping == "median" and marks:
        return tuple(range(marks[0], plan.combination.epochs(plan.recipe)))
    return marks


def choose(asked: str, combination: Combination, recipe: Recipe) -> EarlyStopping:
    """Return the rule that a request stands for.

    ``auto`` is ASHA in runs of 50 epochs and more that hold their target sparsity in at
    least half of them. In shorter ones the eight trials that must run to full length first, and
    the low rank correlation of the few epochs before the last, leave nothing to save.
    """
    if asked != "auto":
        return asked  # type: ignore[return-value]
    epochs, ready = combination.epochs(recipe), ready_epoch(combination, recipe)
    return "asha" if epochs >= _SHORTEST_LONG_RUN and 2 * ready <= epochs else "none"


def judge(plan: Plan, history: History, number: int, epoch: int) -> Verdict:
    """Decide over a search trial that has just reported an epoch."""
    if epoch >= plan.combination.epochs(plan.recipe) or plan.early_stopping == "none":
        return GO_ON
    marks = rungs(plan.combination, plan.recipe)
    history, number = _within_branch(plan, history, number)
    if _RULES[plan.early_stopping](history.accuracies, number, epoch, marks):
        return GO_ON
    correlation = rank_correlation(history, epoch)
    foretells = correlation is not None and correlation >= LEAST_RANK_CORRELATION
    return Verdict(stop=foretells, rank_correlation=correlation)


def promotable(plan: Plan, history: History, number: int) -> bool:
    """Tell whether a trial that was set aside at a rung is among the best of it by now."""
    history, number = _within_branch(plan, history, number)
    reached = max(history.accuracies[number])
    return _asha(history.accuracies, number, reached, rungs(plan.combination, plan.recipe))


def _within_branch(plan: Plan, history: History, number: int) -> tuple[History, int]:
    """Return the history of a trial's branch, and the trial's number in it.

    Trials are compared within their branch. Otherwise better trials with HAM would stop trials of
    the baseline, and the baseline would be tuned with less effort.
    """
    branches = len(plan.branches)
    if branches == 1:
        return history, number
    own, branch = divmod(number, branches)
    mine = History(
        accuracies={
            n // branches: reported
            for n, reported in history.accuracies.items()
            if n % branches == branch
        },
        final={n // branches: f for n, f in history.final.items() if n % branches == branch},
    )
    return mine, own


def report(study: Study, store: SearchReads) -> EarlyStoppingReport:
    """Measure on a study's search so far what early stopping saved, and how far epochs foretell.

    The rungs are those that ASHA has or would have: where nothing is stopped, the correlations
    say whether it could pay. Where no HAM has a search of its own, they are over both branches.
    """
    plan = study.plan
    # Across sparsities early epochs rank trials well, and say nothing of settings.
    marks = () if plan.is_multi_objective else rungs(plan.combination, plan.recipe)
    runs = store.of_study(study.id, Purpose.SEARCH)
    curves = store.accuracies(study.id, sorted({*marks, *decisions(plan)}))
    number = {run.id: place for place, run in enumerate(runs)}
    history = History(
        accuracies={number[run.id]: curves.get(run.id, {}) for run in runs},
        final={
            number[run.id]: run.validation_accuracy
            for run in runs
            if run.state == RunState.SUCCEEDED and run.validation_accuracy is not None
        },
    )
    stopped = [run for run in runs if run.state == RunState.PRUNED]
    return EarlyStoppingReport(
        rule=plan.early_stopping,
        state=_state(plan, history),
        stopped=len(stopped),
        epochs_saved=sum(run.epochs - run.epochs_done for run in stopped),
        least_rank_correlation=LEAST_RANK_CORRELATION,
        rungs=tuple(
            Rung(
                epoch=epoch,
                finished=sum(epoch in history.accuracies[n] for n in history.final),
                rank_correlation=rank_correlation(history, epoch),
            )
            for epoch in marks
        ),
    )


def _state(plan: Plan, history: History) -> EarlyStoppingState:
    epochs = decisions(plan)
    if not epochs:
        return "off"
    correlations = [rank_correlation(history, epoch) for epoch in epochs]
    known = [correlation for correlation in correlations if correlation is not None]
    if not known:
        return "waiting"
    return "on" if max(known) >= LEAST_RANK_CORRELATION else "switched off"


def rank_correlation(history: History, epoch: int) -> float | None:
    """Return Spearman's correlation of the accuracies after an epoch with the final ones.

    None with fewer than eight trials at full length, or where all their accuracies are equal.
    """
    numbers = [n for n in history.final if epoch in history.accuracies.get(n, {})]
    early = np.array([history.accuracies[n][epoch] for n in numbers])
    final = np.array([history.final[n] for n in numbers])
    if len(numbers) < FEWEST_FINISHED or np.ptp(early) == 0 or np.ptp(final) == 0:
        return None
    return float(np.corrcoef(_ranks(early), _ranks(final))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks, equal values sharing their mean; scipy.stats would take a second to import."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _asha(
    accuracies: Mapping[int, Accuracies], number: int, epoch: int, marks: Sequence[int]
) -> bool:
    """Go on beyond a rung if in the top third of all that have reached it so far.

    Reference: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
        https://arxiv.org/abs/1810.05934. As ``asha`` it stops the others for good; as
        ``asha_promotion`` it sets them aside, and :func:`promotable` brings them back.
    """
    if epoch not in marks:
        return True
    mine = accuracies[number][epoch]
    peers = [reported[epoch] for reported in accuracies.values() if epoch in reported]
    return sum(peer > mine for peer in peers) < max(1, len(peers) // REDUCTION)


def _hyperband(
    accuracies: Mapping[int, Accuracies], number: int, epoch: int, marks: Sequence[int]
) -> bool:
    """Apply :func:`_asha` within a bracket; each bracket begins one rung later than the last.

    Reference: Li et al., "Hyperband", JMLR 2018, https://arxiv.org/abs/1603.06560, with brackets
        filled side by side in the proportions of its Algorithm 1.
    """
    mine = _bracket(number, len(marks))
    peers = {n: reported for n, reported in accuracies.items() if _bracket(n, len(marks)) == mine}
    return _asha(peers, number, epoch, marks[mine:])


def _bracket(number: int, rungs: int) -> int:
    """Return the bracket of a trial, 0 for the most eager one; the last never stops a trial."""
    sizes = [
        math.ceil((rungs + 1) * REDUCTION**left / (left + 1)) for left in range(rungs, -1, -1)
    ]
    place = number % sum(sizes)
    return next(b for b in range(len(sizes)) if place < sum(sizes[: b + 1]))


def _median(
    accuracies: Mapping[int, Accuracies], number: int, epoch: int, marks: Sequence[int]
) -> bool:
    """Go on if the best so far is no worse than the median of the others after this epoch.

    Reference: Golovin et al., "Google Vizier", KDD 2017, section 3.2, with the accuracies after
        the epoch in the place of running averages, which the ramp-up of training would pull down.
    """
    if not marks or epoch < marks[0]:
        return True
    best = max(value for at, value in accuracies[number].items() if marks[0] <= at <= epoch)
    others = [r[epoch] for n, r in accuracies.items() if n != number and epoch in r]
    return not others or best >= median(others)


_RULES: dict[str, Callable[[Mapping[int, Accuracies], int, int, Sequence[int]], bool]] = {
    "asha": _asha,
    "asha_promotion": _asha,
    "hyperband": _hyperband,
    "median": _median,
}
