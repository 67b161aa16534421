"""Early stopping through the real execution and Optuna: what is stored, shown and selected."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from ham.client.records import Budget, EarlyStopping, Plan, Purpose, RunState, StudyRequest
from ham.config import RECIPE_BASELINE, HamConfig, RunConfig
from service.domain.planning.plans import resolve
from service.domain.search.early_stopping import REDUCTION, judge, ready_epoch
from service.domain.search.stages import finalists
from service.domain.search.surface import MIN_RUNS
from service.errors import StudyFailed
from service.records import Job, Outcome
from service.storage import Database, Storage
from service.storage.engine.migrate import migrate
from service.workers.study.optuna_search import OptunaSearch
from tests.service.builders import a_run
from tests.service.workers.simulation import ENVIRONMENT, Curve, Simulation

EPOCHS = 15  # of the digits recipe


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    database = Database(f"sqlite:///{tmp_path}/hamtune.sqlite3")
    migrate(database)
    return Storage(database)


def a_request(rule: EarlyStopping, trials: int = 40, sparsifier: str = "random") -> StudyRequest:
    return StudyRequest(
        model="digits_mlp",
        dataset="digits",
        sparsifier=sparsifier,
        sparsity=0.0 if sparsifier == "dense" else 0.9,
        budget=Budget(trials=trials, early_stopping=rule),
    )


def quality(config: RunConfig) -> float:
    """Return a number from 0 to 1 that is largest at alpha 30 and beta 1e-2."""
    a = math.log10(max(config.setting.alpha, 0.5) / 30)
    b = math.log10(max(config.setting.beta, 5e-5) / 1e-2)
    return math.exp(-(a**2) - 0.3 * b**2)


def early_ranks_hold(config: RunConfig, epoch: int) -> float:
    """Return an accuracy; trials have the same ranks after every epoch."""
    return 0.5 + 0.3 * quality(config) + 0.1 * epoch / EPOCHS


def pruned_gradually(config: RunConfig, epoch: int) -> float:
    """Return an accuracy that falls as sparsity ramps up; trials that end worse begin better."""
    ready = ready_epoch(config.combination, config.recipe)
    ramp = min(1.0, epoch / ready)
    noise = random.Random(repr((config.setting, config.seed, epoch))).gauss(0, 0.003)
    return 0.95 - 0.3 * ramp + 0.2 * quality(config) * (2 * ramp - 1) + noise


@pytest.mark.parametrize("rule", ["asha", "hyperband", "median"])
def test_no_complete_trial_is_below_full_length(storage: Storage, rule: EarlyStopping) -> None:
    """Of 40 trials under ASHA; Ray's own OptunaSearch leaves 36 that are."""
    study = Simulation(storage, a_request(rule), early_ranks_hold)
    study.search()
    trials = study.trials()
    assert len(trials) == 40
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert all(trial.last_step == EPOCHS for trial in complete)
    assert len(complete) + len(pruned) == 40
    assert len(pruned) >= 10
    assert study.optuna_study().best_trial in complete
    for trial in pruned:
        assert trial.last_step is not None
        assert list(trial.intermediate_values) == list(range(1, trial.last_step + 1))
        assert trial.last_step < EPOCHS


def test_stopped_trials_continue_once_they_are_among_the_best_of_their_rung(
    storage: Storage,
) -> None:
    """At the end, the best third of every rung has continued, in whichever order trials came."""

    ranks: dict[HamConfig, int] = {}

    def worse_and_worse(config: RunConfig, epoch: int) -> float:
        return 0.8 - 0.005 * ranks.setdefault(config.setting, len(ranks)) + 0.1 * epoch / EPOCHS

    study = Simulation(storage, a_request("asha_promotion"), worse_and_worse)
    study.run()
    assert len(study.assigned) > len(set(study.assigned))
    trials = study.trials()
    pruned = [run for run in study.runs() if run.state == RunState.PRUNED]
    assert all(run.environment == ENVIRONMENT for run in pruned)
    assert Counter(
        trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials
    ) == {True: 40}
    curves = {trial.number: trial.intermediate_values for trial in trials}
    for trial in trials:
        assert sorted(curves[trial.number]) == list(range(1, (trial.last_step or 0) + 1))
        if trial.state == TrialState.PRUNED:
            assert trial.last_step is not None and trial.last_step < EPOCHS
            at_rung = sorted(c[trial.last_step] for c in curves.values() if trial.last_step in c)
            third = at_rung[-(len(at_rung) // REDUCTION) :] if len(at_rung) >= REDUCTION else []
            assert curves[trial.number][trial.last_step] <= min(third, default=1.0)


def test_every_run_stores_its_fidelity_and_its_curve(storage: Storage) -> None:
    study = Simulation(storage, a_request("asha"), early_ranks_hold)
    study.search()
    by_number = {trial.number: trial for trial in study.trials()}
    for run in study.runs():
        assert run.trial_number is not None
        trial = by_number[run.trial_number]
        assert trial.last_step == run.epochs_done == len(storage.runs.curve(run.id))
        assert run.epochs == EPOCHS
        assert (run.state == RunState.PRUNED) == (trial.state == TrialState.PRUNED)
        if run.state == RunState.PRUNED:
            assert run.environment == ENVIRONMENT
            assert run.validation_accuracy == trial.intermediate_values[run.epochs_done]
            stop = run.measures.early_stopping
            assert stop is not None and stop.rank_correlation is not None
            assert stop.rank_correlation >= 0.7


def test_the_best_full_length_trial_is_selected_although_accuracy_falls_as_sparsity_ramps_up() -> (
    None
):
    """For 100 of 100 seeds; Ray's own OptunaSearch selects a trial that stopped at epoch 2."""
    plan = resolve(a_request("asha", trials=14, sparsifier="gmp"))
    stopped = 0
    for seed in range(100):
        seeded = plan.model_copy(update={"sampler_seed": 100 * seed})
        full, study = searched(seeded, falling(seed))
        assert study.best_trial.number == max(full, key=lambda number: full[number])
        stopped += len(study.trials) - len(full)
    assert stopped > 100  # early stopping was at work


def test_the_best_full_length_run_is_served_although_accuracy_falls(storage: Storage) -> None:
    for seed in range(5):
        request = a_request("asha", trials=14, sparsifier="gmp")
        request = request.model_copy(update={"replicate": True})
        study = Simulation(storage, request, falling(seed))
        study.search()
        full = [run for run in study.runs() if run.state == RunState.SUCCEEDED]
        best = max(full, key=lambda run: run.validation_accuracy or 0)
        record = storage.studies.get(study.study_id)
        served = storage.run_counts.of([record])[study.study_id].best
        assert served is not None and served.run_id == best.id
        assert study.optuna_study().best_trial.number == best.trial_number
        assert any(run.state == RunState.PRUNED for run in study.runs())
        storage.queue.fail(study.lease, "enough seen")


def falling(seed: int) -> Curve:
    """Return a curve that falls as sparsity ramps up, with the noise of a seed."""

    def curve(config: RunConfig, epoch: int) -> float:
        noise = random.Random(repr((config.setting, seed))).gauss(0, 0.01)
        return pruned_gradually(config, epoch) + noise

    return curve


def searched(plan: Plan, curve: Curve) -> tuple[dict[int, float], optuna.Study]:
    """Search one trial after another; return the full-length values, and Optuna's study."""
    optuna_storage = optuna.storages.InMemoryStorage()
    search = OptunaSearch(optuna_storage, "study", plan)
    full = {}
    for _ in range(plan.search_trials):
        proposal = search.ask()
        number = proposal.number
        config = RunConfig(
            combination=plan.combination, recipe=plan.recipe, setting=proposal.ham_config, seed=0
        )
        for epoch in range(1, EPOCHS + 1):
            accuracy = curve(config, epoch)
            search.report(number, epoch, accuracy)
            if judge(plan, search.history(), number, epoch).stop:
                search.tell(number, Outcome(validation_accuracy=accuracy, pruned=True))
                break
        else:
            full[number] = accuracy
            search.tell(number, Outcome(validation_accuracy=accuracy))
    return full, optuna.load_study(study_name="study", storage=optuna_storage)


def test_early_stopping_stops_nothing_if_early_epochs_do_not_predict_the_last(
    storage: Storage,
) -> None:
    def crossing(config: RunConfig, epoch: int) -> float:
        return 0.6 + 0.1 * quality(config) * (2 * epoch / EPOCHS - 1)

    study = Simulation(storage, a_request("asha", trials=30, sparsifier="dense"), crossing)
    study.search()
    at_first_rungs = [run for run in study.runs() if run.epochs_done < EPOCHS / 2]
    assert at_first_rungs == []


def test_nan_leaves_no_running_trial(storage: Storage) -> None:
    """Ray's own OptunaSearch leaves 12 of 24."""

    def half_diverge(config: RunConfig, epoch: int) -> float:
        diverges = epoch == 3 and config.setting.beta > 1e-2
        return math.nan if diverges else early_ranks_hold(config, epoch)

    study = Simulation(storage, a_request("asha", trials=24), half_diverge)
    study.search()
    states = Counter(trial.state for trial in study.trials())
    assert states[TrialState.RUNNING] == 0
    assert states[TrialState.FAIL] >= 4
    for trial in study.trials():
        assert (trial.state == TrialState.FAIL) == ("fail_reason" in trial.user_attrs)
    failed = [run for run in study.runs() if run.state == RunState.FAILED]
    assert len(failed) == states[TrialState.FAIL]
    assert {run.epochs_done for run in failed} == {2}


def test_a_failed_or_pruned_trial_is_never_selected_in_a_thousand_histories(plan: Plan) -> None:
    """Neither in Optuna nor among the finalists, however high its reported accuracy was."""
    for seed in range(1000):
        draw = random.Random(seed)
        optuna_storage = optuna.storages.InMemoryStorage()
        search = OptunaSearch(optuna_storage, "study", plan)
        runs, full = [], {}
        for _ in range(draw.randint(3, 7)):
            number, ham_config, _ = search.ask()
            outcome, state = draw_ending(draw)
            search.report(number, draw.randint(1, EPOCHS - 1), 1 + draw.random())
            search.tell(number, outcome)
            job = Job(purpose=Purpose.SEARCH, setting=ham_config, seed=0, trial_number=number)
            runs.append(a_run(job, outcome.validation_accuracy, state=state))
            if state == RunState.SUCCEEDED:
                full[number] = outcome.validation_accuracy
        study = optuna.load_study(study_name="study", storage=optuna_storage)
        if full:
            assert study.best_trial.number == max(full, key=lambda number: full[number] or 0)
        else:
            with pytest.raises(ValueError, match="No trials are completed"):
                _ = study.best_trial
        finished = {run.setting for run in runs if run.trial_number in full}
        if finished - {RECIPE_BASELINE}:
            chosen = set(finalists(plan, runs))
            assert chosen.isdisjoint({run.setting for run in runs} - finished)
            assert chosen <= finished or len(runs) >= MIN_RUNS, "a surface knows more"
        else:
            with pytest.raises(StudyFailed):
                finalists(plan, runs)


def draw_ending(draw: random.Random) -> tuple[Outcome, RunState]:
    """Return a full-length ending, or another one with a higher accuracy than any of those."""
    accuracy = draw.random()
    endings = (
        (Outcome(validation_accuracy=accuracy), RunState.SUCCEEDED),
        (Outcome(validation_accuracy=1 + accuracy, pruned=True), RunState.PRUNED),
        (Outcome(validation_accuracy=1 + accuracy, error="out of memory"), RunState.FAILED),
        (Outcome(validation_accuracy=math.nan), RunState.FAILED),
    )
    return draw.choice(endings)
