"""Early stopping: the rules that decide which search trials are not trained to full length.

A rule is a pure function of what the trials of a study have reported. Three conditions hold for
all rules:

- No trial is judged before the target sparsity is reached. Until then a denser network is
  measured, and a trial looks the better the less of it is pruned.
- No trial is stopped before eight trials have run to full length.
- No trial is stopped at an epoch whose accuracies do not predict the final ones: Spearman's rank
  correlation over the trials of full length must be 0.7 or more.

Stopped trials have no final accuracy, so the correlation is measured on better and better trials,
whose ranks are harder to tell apart. The correlation falls, and early stopping tends to switch
itself off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ham.catalog import SPARSIFIERS
from ham.client.records import EarlyStopping, Plan
from ham.client.records.budgets import AskedEarlyStopping
from ham.config import Combination, Recipe

Accuracies = Mapping[int, float]
"""Validation accuracies of one trial (fractions) by epoch."""

REDUCTION = 3
"""One of this many trials goes on beyond a rung (eta of the papers)."""
MIN_FINISHED = 8
"""Trials of full length before any trial is stopped."""
MIN_RANK_CORRELATION = 0.7
_MIN_LONG_EPOCHS = 50
"""Epochs from which ``auto`` stands for ASHA."""


class History(NamedTuple):
    """What the trials of a study have reported.

    Attributes:
        accuracies: of every trial by number, in whatever state.
        final: accuracy of the trials that ran to full length, by number.
    """

    accuracies: Mapping[int, Accuracies]
    final: Mapping[int, float]


class Verdict(NamedTuple):
    """Whether to stop a trial.

    Attributes:
        stop: whether to stop it.
        rank_correlation: of the epoch, on which the decision rests; None where it was not needed
            or not known.
    """

    stop: bool
    rank_correlation: float | None


GO_ON = Verdict(stop=False, rank_correlation=None)

GoesOn = Callable[[Mapping[int, Accuracies], int, int, Sequence[int]], bool]
"""(accuracies of all trials, number of a trial, epoch, rungs) -> whether the trial goes on."""


class Rule(NamedTuple):
    """One early-stopping rule.

    Attributes:
        goes_on: whether a trial goes on after an epoch.
        every_epoch: whether trials are judged after every epoch from the first rung on, and not
            at the rungs alone.
        promotes: whether a stopped trial is set aside, and goes on once it is among the best of
            its rung.
    """

    goes_on: GoesOn
    every_epoch: bool = False
    promotes: bool = False


def ready_epoch(combination: Combination, recipe: Recipe) -> int:
    """Return the first epoch that is trained at the target sparsity from its first step on."""
    held = SPARSIFIERS.get(combination.sparsifier).sparse_from(combination.sparsity)
    return math.ceil(round(held * combination.epochs(recipe), 9)) + 1


def rungs(combination: Combination, recipe: Recipe) -> tuple[int, ...]:
    """Return the epochs after which trials are compared, the last epoch left out.

    The first rung is at a 27th of the run, or where the target sparsity is reached if that is
    later. Each further rung is at three times the epochs of the one before.
    """
    epochs = combination.epochs(recipe)
    rung = max(ready_epoch(combination, recipe), math.ceil(epochs / REDUCTION**3))
    found = []
    while rung < epochs:
        found.append(rung)
        rung *= REDUCTION
    return tuple(found)


def decision_epochs(plan: Plan) -> tuple[int, ...]:
    """Return the epochs after which a search trial waits for the decision whether it goes on."""
    rule = RULES[plan.early_stopping]
    if rule is None:
        return ()
    marks = rungs(plan.combination, plan.recipe)
    if rule.every_epoch and marks:
        return tuple(range(marks[0], plan.combination.epochs(plan.recipe)))
    return marks


def promotes(plan: Plan) -> bool:
    """Tell whether a stopped trial may continue once it is among the best of its rung."""
    rule = RULES[plan.early_stopping]
    return rule is not None and rule.promotes


def choose_rule(
    asked: AskedEarlyStopping, combination: Combination, recipe: Recipe
) -> EarlyStopping:
    """Return the rule that a budget's ``early_stopping`` stands for.

    ``auto`` is ASHA in runs of 50 epochs and more that keep their target sparsity in at least half
    of them, else none. Shorter runs leave nothing to save: eight trials must run to full length
    first, and the few epochs before the last have a low rank correlation.
    """
    if asked != "auto":
        return asked
    epochs, ready = combination.epochs(recipe), ready_epoch(combination, recipe)
    return "asha" if epochs >= _MIN_LONG_EPOCHS and 2 * ready <= epochs else "none"


def judge(plan: Plan, history: History, number: int, epoch: int) -> Verdict:
    """Decide whether a search trial that has just reported an epoch is stopped."""
    rule = RULES[plan.early_stopping]
    if rule is None or epoch >= plan.combination.epochs(plan.recipe):
        return GO_ON
    marks = rungs(plan.combination, plan.recipe)
    history, number = _within_branch(plan, history, number)
    if rule.goes_on(history.accuracies, number, epoch, marks):
        return GO_ON
    correlation = rank_correlation(history, epoch)
    predicts = correlation is not None and correlation >= MIN_RANK_CORRELATION
    return Verdict(stop=predicts, rank_correlation=correlation)


def promotable(plan: Plan, history: History, number: int) -> bool:
    """Tell whether a trial that was set aside at a rung is now among the best of that rung."""
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
    accuracies = {
        n // branches: reported
        for n, reported in history.accuracies.items()
        if n % branches == branch
    }
    final = {n // branches: value for n, value in history.final.items() if n % branches == branch}
    return History(accuracies, final), own


def rank_correlation(history: History, epoch: int) -> float | None:
    """Return Spearman's correlation of the accuracies after an epoch with the final ones.

    None with fewer than eight trials of full length, or where all their accuracies are equal.
    """
    numbers = [n for n in history.final if epoch in history.accuracies.get(n, {})]
    early = np.array([history.accuracies[n][epoch] for n in numbers])
    final = np.array([history.final[n] for n in numbers])
    if len(numbers) < MIN_FINISHED or np.ptp(early) == 0 or np.ptp(final) == 0:
        return None
    return float(np.corrcoef(_ranks(early), _ranks(final))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks; equal values share their mean rank."""
    # scipy.stats would take a second to import
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[index]
    return ranks


def _asha(
    accuracies: Mapping[int, Accuracies], number: int, epoch: int, marks: Sequence[int]
) -> bool:
    """Go on beyond a rung if in the best third of all trials that have reached it so far.

    Reference: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
        https://arxiv.org/abs/1810.05934. ``asha`` stops the other trials for good.
        ``asha_promotion`` sets them aside, and :func:`promotable` brings them back.
    """
    if epoch not in marks:
        return True
    own = accuracies[number][epoch]
    peers = [reported[epoch] for reported in accuracies.values() if epoch in reported]
    return sum(peer > own for peer in peers) < max(1, len(peers) // REDUCTION)


def _hyperband(
    accuracies: Mapping[int, Accuracies], number: int, epoch: int, marks: Sequence[int]
) -> bool:
    """Apply :func:`_asha` within a bracket; each bracket begins one rung later than the last.

    Reference: Li et al., "Hyperband", JMLR 2018, https://arxiv.org/abs/1603.06560, with brackets
        filled side by side in the proportions of its Algorithm 1.
    """
    own = _bracket(number, len(marks))
    peers = {n: reported for n, reported in accuracies.items() if _bracket(n, len(marks)) == own}
    return _asha(peers, number, epoch, marks[own:])


def _bracket(number: int, rungs: int) -> int:
    """Return the bracket of a trial; 0 stops trials first, and the last one stops none."""
    sizes = [
        math.ceil((rungs + 1) * REDUCTION**left / (left + 1)) for left in range(rungs, -1, -1)
    ]
    position = number % sum(sizes)
    return next(b for b in range(len(sizes)) if position < sum(sizes[: b + 1]))


def _median(
    accuracies: Mapping[int, Accuracies], number: int, epoch: int, marks: Sequence[int]
) -> bool:
    """Go on if the best so far is no worse than the median of the others after this epoch.

    Reference: Golovin et al., "Google Vizier", KDD 2017, section 3.2. The accuracies after the
        epoch replace its running averages, which the first epochs of a training would pull down.
    """
    if not marks or epoch < marks[0]:
        return True
    best = max(value for at, value in accuracies[number].items() if marks[0] <= at <= epoch)
    others = [r[epoch] for n, r in accuracies.items() if n != number and epoch in r]
    return not others or best >= median(others)


RULES: dict[EarlyStopping, Rule | None] = {
    "none": None,
    "asha": Rule(_asha),
    "asha_promotion": Rule(_asha, promotes=True),
    "hyperband": Rule(_hyperband),
    "median": Rule(_median, every_epoch=True),
}
"""Every early-stopping rule by its name in the API; None stops no trial. To add one, add it here
and to ``EarlyStopping`` in the records."""
