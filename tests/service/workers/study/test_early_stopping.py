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
    """From 0 to 1, best at alpha 30 and beta 1e-2."""
    a = math.log10(max(config.setting.alpha, 0.5) / 30)
    b = math.log10(max(config.setting.beta, 5e-5) / 1e-2)
    return math.exp(-(a**2) - 0.3 * b**2)


def early_ranks_hold(config: RunConfig, epoch: int) -> float:
    """Early accuracies rank as the final ones do."""
    return 0.5 + 0.3 * quality(config) + 0.1 * epoch / EPOCHS


def pruned_gradually(config: RunConfig, epoch: int) -> float:
    """Falls as sparsity ramps up; until then what is worse in the end looks better."""
    ready = ready_epoch(config.combination, config.recipe)
    ramp = min(1.0, epoch / ready)
    noise = random.Random(repr((config.setting, config.seed, epoch))).gauss(0, 0.003)
    return 0.95 - 0.3 * ramp + 0.2 * quality(config) * (2 * ramp - 1) + noise


@pytest.mark.parametrize("rule", ["asha", "hyperband", "median"])
def test_no_complete_row_is_below_full_length(storage: Storage, rule: EarlyStopping) -> None:
    """Forty trials under ASHA; Ray's own OptunaSearch leaves 36 such rows."""
    study = Simulation(storage, a_request(rule), early_ranks_hold)
    study.search()
    rows = study.rows()
    assert len(rows) == 40
    complete = [row for row in rows if row.state == TrialState.COMPLETE]
    pruned = [row for row in rows if row.state == TrialState.PRUNED]
    assert all(row.last_step == EPOCHS for row in complete)
    assert len(complete) + len(pruned) == 40
    assert len(pruned) >= 10
    assert study.optuna_study().best_trial in complete
    for row in pruned:
        assert row.last_step is not None
        assert list(row.intermediate_values) == list(range(1, row.last_step + 1))
        assert row.last_step < EPOCHS


def test_trials_that_prove_to_be_among_the_best_of_their_rung_come_back(
    storage: Storage,
) -> None:
    """At the end every rung has sent on its best third, whatever came first."""

    place: dict[HamConfig, int] = {}

    def worse_and_worse(config: RunConfig, epoch: int) -> float:
        return 0.8 - 0.005 * place.setdefault(config.setting, len(place)) + 0.1 * epoch / EPOCHS

    study = Simulation(storage, a_request("asha_promotion"), worse_and_worse)
    study.run()
    assert len(study.assigned) > len(set(study.assigned))
    rows = study.rows()
    given_up = [run for run in study.runs() if run.state == RunState.PRUNED]
    assert all(run.environment == ENVIRONMENT for run in given_up)
    assert Counter(row.state in (TrialState.COMPLETE, TrialState.PRUNED) for row in rows) == {
        True: 40
    }
    curves = {row.number: row.intermediate_values for row in rows}
    for row in rows:
        assert sorted(curves[row.number]) == list(range(1, (row.last_step or 0) + 1))
        if row.state == TrialState.PRUNED:
            assert row.last_step is not None and row.last_step < EPOCHS
            at_rung = sorted(c[row.last_step] for c in curves.values() if row.last_step in c)
            third = at_rung[-(len(at_rung) // REDUCTION) :] if len(at_rung) >= REDUCTION else []
            assert curves[row.number][row.last_step] <= min(third, default=1.0)


def test_every_run_carries_its_fidelity_and_its_curve(storage: Storage) -> None:
    study = Simulation(storage, a_request("asha"), early_ranks_hold)
    study.search()
    by_number = {row.number: row for row in study.rows()}
    for run in study.runs():
        assert run.trial_number is not None
        row = by_number[run.trial_number]
        assert row.last_step == run.epochs_done == len(storage.runs.curve(run.id))
        assert run.epochs == EPOCHS
        assert (run.state == RunState.PRUNED) == (row.state == TrialState.PRUNED)
        if run.state == RunState.PRUNED:
            assert run.environment == ENVIRONMENT
            assert run.validation_accuracy == row.intermediate_values[run.epochs_done]
            stop = run.measures.early_stopping
            assert stop is not None and stop.rank_correlation is not None
            assert stop.rank_correlation >= 0.7


def test_best_full_run_wins_although_the_metric_falls_as_sparsity_ramps_up() -> None:
    """In 100 of 100 seeds; Ray and its OptunaSearch crown a trial stopped at epoch 2."""
    plan = resolve(a_request("asha", trials=14, sparsifier="gmp"))
    stopped = 0
    for seed in range(100):
        mine = plan.model_copy(update={"sampler_seed": 100 * seed})
        full, study = searched(mine, falling(seed))
        assert study.best_trial.number == max(full, key=lambda number: full[number])
        stopped += len(study.trials) - len(full)
    assert stopped > 100  # early stopping was at work


def test_best_full_run_is_served_although_the_metric_falls(storage: Storage) -> None:
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
    """A metric that falls as sparsity ramps up, with the luck of a seed."""

    def curve(config: RunConfig, epoch: int) -> float:
        luck = random.Random(repr((config.setting, seed))).gauss(0, 0.01)
        return pruned_gradually(config, epoch) + luck

    return curve


def searched(plan: Plan, curve: Curve) -> tuple[dict[int, float], optuna.Study]:
    """Search one trial after another; return the values at full length, and what Optuna has."""
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


def test_early_stopping_switches_itself_off_where_early_epochs_do_not_foretell(
    storage: Storage,
) -> None:
    def crossing(config: RunConfig, epoch: int) -> float:
        return 0.6 + 0.1 * quality(config) * (2 * epoch / EPOCHS - 1)

    study = Simulation(storage, a_request("asha", trials=30, sparsifier="dense"), crossing)
    study.search()
    at_first_rungs = [run for run in study.runs() if run.epochs_done < EPOCHS / 2]
    assert at_first_rungs == []


def test_nan_leaves_no_running_row(storage: Storage) -> None:
    """Ray's own OptunaSearch leaves 12 of 24."""

    def half_diverge(config: RunConfig, epoch: int) -> float:
        diverges = epoch == 3 and config.setting.beta > 1e-2
        return math.nan if diverges else early_ranks_hold(config, epoch)

    study = Simulation(storage, a_request("asha", trials=24), half_diverge)
    study.search()
    states = Counter(row.state for row in study.rows())
    assert states[TrialState.RUNNING] == 0
    assert states[TrialState.FAIL] >= 4
    for row in study.rows():
        assert (row.state == TrialState.FAIL) == ("fail_reason" in row.user_attrs)
    failed = [run for run in study.runs() if run.state == RunState.FAILED]
    assert len(failed) == states[TrialState.FAIL]
    assert {run.epochs_done for run in failed} == {2}


def test_an_errored_or_pruned_trial_never_wins_over_a_thousand_histories(plan: Plan) -> None:
    """Neither in Optuna nor among the finalists, whatever it reported before it ended."""
    for seed in range(1000):
        draw = random.Random(seed)
        optuna_storage = optuna.storages.InMemoryStorage()
        search = OptunaSearch(optuna_storage, "study", plan)
        runs, full = [], {}
        for _ in range(draw.randint(3, 7)):
            number, setting, _ = search.ask()
            outcome, state = draw_ending(draw)
            search.report(number, draw.randint(1, EPOCHS - 1), 1 + draw.random())
            search.tell(number, outcome)
            job = Job(purpose=Purpose.SEARCH, setting=setting, seed=0, trial_number=number)
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
    """A trial that ran to its end, or one that did not and looks better than any that did."""
    accuracy = draw.random()
    endings = (
        (Outcome(validation_accuracy=accuracy), RunState.SUCCEEDED),
        (Outcome(validation_accuracy=1 + accuracy, pruned=True), RunState.PRUNED),
        (Outcome(validation_accuracy=1 + accuracy, error="out of memory"), RunState.FAILED),
        (Outcome(validation_accuracy=math.nan), RunState.FAILED),
    )
    return draw.choice(endings)
