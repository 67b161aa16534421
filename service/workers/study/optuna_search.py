"""The search of one study: Optuna proposes configurations, and its storage keeps the history.

A COMPLETE trial always has a full-length value. A trial that early stopping ended is PRUNED. A
trial that ended without a finite value is FAIL, with its reason. Both keep all that they reported.
The best trial is therefore never one of low fidelity, and samplers, which rank PRUNED trials
behind COMPLETE ones (TPE) or ignore them, never overrate one. The sampler is rebuilt for each
trial from a seed and the stored history, so nothing is lost when a runner dies.
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
from service.workers.study import optuna_compat
from service.workers.study.optuna_storage import write_curve
from service.workers.study.samplers import enqueued_points, sampler_for

optuna.logging.set_verbosity(optuna.logging.WARNING)

_QUEUE = "hamtune:queue"
_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
_SPARSITY = "sparsity"
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


class Proposal(NamedTuple):
    """A trial's number, the configuration that it tries, and its sparsity if that is searched."""

    number: int
    ham_config: HamConfig
    sparsity: float | None = None


def open_search(
    storage: optuna.storages.BaseStorage, name: str, plan: Plan, opening: Sequence[HamConfig] = ()
) -> Search:
    """Open the search of a study: one Optuna study for each of its branches.

    Args:
        storage: Optuna's storage.
        name: name of the Optuna study, unique in the storage; the branch ``baseline`` appends
            ``no HAM`` to it.
        plan: space, sampler and seeds.
        opening: configurations to try first; ignored if the search has begun.
    """
    first, *more = [
        OptunaSearch(storage, _study_name(name, branch), plan, opening, branch)
        for branch in plan.branches
    ]
    return BranchedSearch([first, *more]) if more else first


def _study_name(name: str, branch: Branch) -> str:
    return name if branch == "ham" else f"{name} no HAM"  # stored: it must not change


class OptunaSearch:
    """Proposes configurations and takes their results, in one Optuna study.

    Trials that a lost runner left unfinished are proposed again first.

    Args:
        storage: Optuna's storage.
        name: name of the Optuna study, unique in the storage.
        plan: space, sampler and seeds.
        opening: configurations to try first; ignored if the search has begun.
        branch: the branch of the study that this search proposes for.

    Attributes:
        asked: number of trials begun; an unfinished trial counts once it is proposed again.
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
        self._enqueue_first_trials(opening)
        self._trial_ids: dict[int, int] = {}
        self._unwritten: defaultdict[int, dict[int, float]] = defaultdict(dict)
        states = [trial.state for trial in self._trials()]
        self._unfinished = [
            number for number, state in enumerate(states) if state == TrialState.RUNNING
        ]
        self.asked = sum(state in _ENDED for state in states)

    def ask(self) -> Proposal:
        """Return the next trial to train: one that a lost runner left unfinished, or a new one."""
        if self._unfinished:
            number = self._unfinished.pop(0)
            self._study.sampler = sampler_for(self._plan, number)
            trial = optuna_compat.trial_of(self._study, self._trial_id(number))
        else:
            self._study.sampler = sampler_for(self._plan, len(self._trials()))
            trial = self._study.ask()
        if self._plan.is_multi_objective:
            optuna_compat.assign_generation(trial)
        space, levels = self._plan.space, self._plan.sparsities
        sampled = self._sample(trial)
        ham_config = space.decode(sampled)
        sparsity = trial.suggest_categorical(_SPARSITY, levels) if levels else None
        self.asked += 1
        shown = {"alpha": ham_config.alpha, "beta": ham_config.beta, **ham_config.joint}
        trial.set_user_attr("setting", shown)
        return Proposal(trial.number, ham_config, sparsity)

    def report(self, number: int, epoch: int, validation_accuracy: float) -> None:
        """Note one epoch's validation accuracy, from 0 to 1, of a running trial.

        :meth:`write`, :meth:`history` and :meth:`tell` store it.
        """
        if math.isfinite(validation_accuracy):
            self._unwritten[number][epoch] = validation_accuracy

    def write(self, number: int) -> None:
        """Store the reported epochs of a running trial."""
        if values := self._unwritten.pop(number, None):
            write_curve(self._storage, self._trial_id(number), values)

    def history(self) -> History:
        """Store all reported epochs and return the curves and final values of all trials."""
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
        """End a trial as COMPLETE with its full-length values, PRUNED, or FAIL with its reason.

        A trial that has ended already is left as it is.
        """
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

    def _sample(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return a value for each axis and choice of this branch.

        A lost runner may have drawn only some of the values. Each of those is kept, and drawn
        again without use, so that the random numbers for the other values are the same.
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
            sampled[name] = optuna_compat.suggest(trial, name, distribution)
        return sampled

    def _enqueue_first_trials(self, opening: Sequence[HamConfig]) -> None:
        """Enqueue the baselines, the opening and the sampler's own points, in this order.

        The list is stored before any trial is enqueued. After a crash in between, the next runner
        enqueues the rest of the list. No trial is asked before all are enqueued, so the first
        trials are the list, in its order.
        """
        study_id = optuna_compat.study_id(self._study)
        queue = self._storage.get_study_system_attrs(study_id).get(_QUEUE)
        if queue is None:
            queue = self._queue(opening)
            self._study.set_user_attr("combination", self._plan.combination.key)
            self._study.set_user_attr("search_space", self._plan.space.id)
            self._study.set_user_attr("transferred", [asdict(each) for each in opening])
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
            baseline = plan.space.encode(RECIPE_BASELINE)
            return [baseline | {_SPARSITY: sparsity} for sparsity in plan.sparsities]
        first = list(dict.fromkeys([*plan.baselines, *opening]))
        if len(plan.branches) > 1:
            first = [each for each in first if each.is_baseline == (branch == "baseline")]
        queue = [plan.space.encode(ham_config, branch=branch) for ham_config in first]
        return queue + enqueued_points(plan, branch)

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _trial_id(self, number: int) -> int:
        if number not in self._trial_ids:
            self._trial_ids[number] = self._storage.get_trial_id_from_study_id_trial_number(
                optuna_compat.study_id(self._study), number
            )
        return self._trial_ids[number]


class BranchedSearch:
    """The searches of a study's branches, asked in turns, as if they were one search.

    The trial with number ``n`` of the branch with index ``b`` of ``B`` has the number ``n B + b``.

    Args:
        searches: one search for each branch, in the order of :attr:`Plan.branches`.
    """

    def __init__(self, searches: Sequence[OptunaSearch]) -> None:
        self._searches = searches

    @property
    def asked(self) -> int:
        """Number of trials begun, of all branches."""
        return sum(search.asked for search in self._searches)

    def ask(self) -> Proposal:
        """Return the next trial of the branch with the fewest trials."""
        index = min(range(len(self._searches)), key=lambda index: self._searches[index].asked)
        number, ham_config, _ = self._searches[index].ask()
        return Proposal(self._number(index, number), ham_config)

    def report(self, number: int, epoch: int, validation_accuracy: float) -> None:
        """Note one epoch's validation accuracy, from 0 to 1, of a running trial."""
        search, own = self._branch(number)
        search.report(own, epoch, validation_accuracy)

    def write(self, number: int) -> None:
        """Store the reported epochs of a running trial."""
        search, own = self._branch(number)
        search.write(own)

    def history(self) -> History:
        """Store all reported epochs and return the curves and final values of all trials."""
        accuracies, final = {}, {}
        for index, search in enumerate(self._searches):
            own = search.history()
            accuracies.update({self._number(index, n): c for n, c in own.accuracies.items()})
            final.update({self._number(index, n): value for n, value in own.final.items()})
        return History(accuracies, final)

    def tell(self, number: int, outcome: Outcome) -> None:
        """End a trial, see :meth:`OptunaSearch.tell`."""
        search, own = self._branch(number)
        search.tell(own, outcome)

    def _number(self, index: int, own: int) -> int:
        return own * len(self._searches) + index

    def _branch(self, number: int) -> tuple[OptunaSearch, int]:
        """Return the search of a trial's branch, and the trial's number in it."""
        own, index = divmod(number, len(self._searches))
        return self._searches[index], own


Search = OptunaSearch | BranchedSearch
