"""The search of one study: Optuna proposes, its storage remembers.

Every COMPLETE row holds a full-length value. A trial that early stopping ended is PRUNED and one
that ended without a finite value is FAIL, with its reason; both keep all that they reported. So
nothing of a low fidelity is ever the best trial, and Optuna's samplers, which put PRUNED behind
COMPLETE (TPE) or leave it out, never take it for more. The sampler is built anew for each trial
from a seed and the stored history: no sampler state is lost when a runner dies.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ham.client.records import Plan
from ham.config import RECIPE_BASELINE, HamConfig
from search_spaces import Branch
from service.domain.search.early_stopping import History
from service.domain.search.objectives import MINIMIZED, value_of
from service.records import Outcome
from service.workers.study.optuna_storage import write_curve
from service.workers.study.samplers import grid, sampler_for

optuna.logging.set_verbosity(optuna.logging.WARNING)

_QUEUE = "hamtune:queue"
_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
_SPARSITY = "sparsity"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Proposal(NamedTuple):
    """A trial, the setting that it tries, and the sparsity where that is searched as well."""

    number: int
    setting: HamConfig
    sparsity: float | None = None


def open_search(
    storage: optuna.storages.BaseStorage, name: str, plan: Plan, opening: Sequence[HamConfig] = ()
) -> Search:
    """Open the search of a study: one Optuna study for each of its branches.

    Args:
        storage: Optuna's storage.
        name: unique in the storage; the branch ``baseline`` appends ``no HAM`` to it.
        plan: space, sampler and seeds.
        opening: settings to try first, where the search has not begun yet.
    """
    first, *more = [
        OptunaSearch(storage, _study_name(name, branch), plan, opening, branch)
        for branch in plan.branches
    ]
    return BranchedSearch([first, *more]) if more else first


def _study_name(name: str, branch: Branch) -> str:
    return name if branch == "ham" else f"{name} no HAM"  # stored: it must not change


class OptunaSearch:
    """Ask for settings, tell results; trials that a lost runner left behind are asked again.

    Args:
        storage: Optuna's storage.
        name: the Optuna study's name, unique in the storage.
        plan: space, sampler and seeds.
        opening: settings to try first, where the search has not begun yet.
        branch: the branch of the study that this search proposes for.

    Attributes:
        asked: trials begun so far; those left behind count when they are asked again.
    """

    def __init__(
        self,
        storage: optuna.storages.BaseStorage,
        name: str,
        plan: Plan,
        opening: Sequence[HamConfig] = (),
        branch: Branch = "ham",
    ) -> None:
        self._plan = plan
        self._branch = branch
        self._storage = storage
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=[_DIRECTIONS[objective in MINIMIZED] for objective in plan.objectives],
            load_if_exists=True,
        )
        self._introduce(opening)
        self._trial_ids: dict[int, int] = {}
        self._unwritten: defaultdict[int, dict[int, float]] = defaultdict(dict)
        states = [trial.state for trial in self._trials()]
        self._left_behind = [
            number for number, state in enumerate(states) if state == TrialState.RUNNING
        ]
        self.asked = sum(state in _ENDED for state in states)

    def ask(self) -> Proposal:
        """Return the next trial to train: one left behind by a lost runner, or a new one."""
        if self._left_behind:
            number = self._left_behind.pop(0)
            self._study.sampler = sampler_for(self._plan, number)
            trial = optuna.Trial(self._study, self._trial_id(number))
        else:
            self._study.sampler = sampler_for(self._plan, len(self._trials()))
            trial = self._study.ask()
        if self._plan.is_multi_objective:
            _ = trial.relative_params  # gives a queued trial its generation as well
        space, levels = self._plan.space, self._plan.sparsities
        sampled = self._suggest(trial)
        setting = space.decode(sampled)
        sparsity = trial.suggest_categorical(_SPARSITY, levels) if levels else None
        self.asked += 1
        shown = {"alpha": setting.alpha, "beta": setting.beta, **setting.joint}
        trial.set_user_attr("setting", shown)
        return Proposal(trial.number, setting, sparsity)

    def report(self, number: int, epoch: int, validation_accuracy: float) -> None:
        """Note one epoch's validation accuracy of a running trial.

        It is stored when told so, at the trial's end, and for the history.
        """
        if math.isfinite(validation_accuracy):
            self._unwritten[number][epoch] = validation_accuracy

    def write(self, number: int) -> None:
        """Store what a running trial has reported."""
        if values := self._unwritten.pop(number, None):
            write_curve(self._storage, self._trial_id(number), values)

    def history(self) -> History:
        """Return what all trials have reported so far."""
        for number in list(self._unwritten):
            self.write(number)
        trials = self._trials()
        return History(
            accuracies={trial.number: trial.intermediate_values for trial in trials},
            final={
                trial.number: trial.value
                for trial in trials
                if trial.state == TrialState.COMPLETE and trial.value is not None
            },
        )

    def tell(self, number: int, outcome: Outcome) -> None:
        """End a trial: COMPLETE with its full-length values, PRUNED, or FAIL with its reason."""
        trial_id = self._trial_id(number)
        if self._storage.get_trial(trial_id).state in _ENDED:
            return
        self.write(number)
        accuracy = outcome.validation_accuracy
        objectives = self._plan.objectives
        found = {name: value_of(name, accuracy, outcome.measures) for name in objectives}
        values = [value for value in found.values() if value is not None]
        if outcome.error is None and len(values) == len(found):
            if outcome.pruned:
                self._study.tell(number, state=TrialState.PRUNED)
            else:
                self._study.tell(number, values)
        else:
            reason = outcome.error or f"the validation accuracy is {accuracy}"
            if outcome.error is None and values:
                reason = f"not every objective was measured: {found}"
            self._storage.set_trial_user_attr(trial_id, "fail_reason", reason)
            self._study.tell(number, state=TrialState.FAIL)

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return a point of this branch's axes, and its choices.

        A runner may have been lost between two of them. What it drew is kept, and drawn again in
        vain, so that the next is what it would have been.
        """
        space, branch = self._plan.space, self._branch
        distributions: dict[str, BaseDistribution] = {
            name: FloatDistribution(axis.floor, axis.high, log=True)
            for name, axis in space.axes(branch=branch).items()
        }
        choices = space.choices(branch=branch).items()
        distributions |= {name: CategoricalDistribution(values) for name, values in choices}
        drawn, sampled = trial.params.keys() - trial.relative_params.keys(), {}
        for name, distribution in distributions.items():
            if name in drawn:
                frozen = self._storage.get_trial(self._trial_id(trial.number))
                self._study.sampler.sample_independent(self._study, frozen, name, distribution)
            sampled[name] = trial._suggest(name, distribution)
        return sampled

    def _introduce(self, opening: Sequence[HamConfig]) -> None:
        """Queue the baselines and the opening, so that the sampler knows them from the start.

        What is to be queued is written down first, at once: whoever goes on after a crash in
        between queues the rest of it, and nothing twice. Nothing is asked before all is queued,
        so the first trials are the queue, in its order.
        """
        study_id = self._study._study_id
        queue = self._storage.get_study_system_attrs(study_id).get(_QUEUE)
        if queue is None:
            queue = self._queue(opening)
            self._study.set_user_attr("combination", self._plan.combination.key)
            self._study.set_user_attr("search_space", self._plan.space.id)
            self._study.set_user_attr("transferred", [asdict(setting) for setting in opening])
            if self._plan.is_multi_objective:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ExperimentalWarning)
                    self._study.set_metric_names(list(self._plan.objectives))
            self._storage.set_study_system_attr(study_id, _QUEUE, queue)
        for point in queue[len(self._trials()) :]:
            self._study.enqueue_trial(point)

    def _queue(self, opening: Sequence[HamConfig]) -> list[dict[str, Any]]:
        plan, branch = self._plan, self._branch
        if plan.is_multi_objective:
            no_ham = plan.space.encode(RECIPE_BASELINE)
            return [no_ham | {_SPARSITY: sparsity} for sparsity in plan.sparsities]
        first = list(dict.fromkeys([*plan.baselines, *opening]))
        if len(plan.branches) > 1:
            first = [s for s in first if s.is_baseline == (branch == "baseline")]
        queue = [plan.space.encode(setting, branch=branch) for setting in first]
        return queue + (grid(plan, branch=branch) if plan.sampler == "grid" else [])

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _trial_id(self, number: int) -> int:
        if number not in self._trial_ids:
            self._trial_ids[number] = self._storage.get_trial_id_from_study_id_trial_number(
                self._study._study_id, number
            )
        return self._trial_ids[number]


class BranchedSearch:
    """The searches of all branches of a study, asked in turns as one search.

    With n branches, trial ``number`` is trial ``number // n`` of branch ``number % n``.

    Args:
        searches: one for each branch, in the order of :attr:`Plan.branches`.
    """

    def __init__(self, searches: Sequence[OptunaSearch]) -> None:
        self._searches = searches

    @property
    def asked(self) -> int:
        """Trials begun so far."""
        return sum(search.asked for search in self._searches)

    def ask(self) -> Proposal:
        """Return the next trial of the branch that has had the fewest."""
        branch = min(range(len(self._searches)), key=lambda at: self._searches[at].asked)
        number, setting, _ = self._searches[branch].ask()
        return Proposal(self._number(branch, number), setting)

    def report(self, number: int, epoch: int, validation_accuracy: float) -> None:
        """Note one epoch's validation accuracy of a running trial."""
        search, own = self._own(number)
        search.report(own, epoch, validation_accuracy)

    def write(self, number: int) -> None:
        """Store what a running trial has reported."""
        search, own = self._own(number)
        search.write(own)

    def history(self) -> History:
        """Return what all trials have reported so far."""
        accuracies, final = {}, {}
        for branch, search in enumerate(self._searches):
            own = search.history()
            accuracies.update({self._number(branch, n): r for n, r in own.accuracies.items()})
            final.update({self._number(branch, n): value for n, value in own.final.items()})
        return History(accuracies, final)

    def tell(self, number: int, outcome: Outcome) -> None:
        """End a trial."""
        search, own = self._own(number)
        search.tell(own, outcome)

    def _number(self, branch: int, own: int) -> int:
        return own * len(self._searches) + branch

    def _own(self, number: int) -> tuple[OptunaSearch, int]:
        own, branch = divmod(number, len(self._searches))
        return self._searches[branch], own


Search = OptunaSearch | BranchedSearch
