"""The search in Optuna: its proposals, and what Optuna's storage holds afterwards."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import inspect

from ham.client.records import Plan, Sampler, StudyRequest
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE, HamConfig
from service.domain.planning.plans import resolve
from service.records import Outcome
from service.settings import Settings
from service.storage import Database
from service.workers.study import optuna_compat, optuna_search
from service.workers.study.optuna_search import OptunaSearch, Proposal, Search
from service.workers.study.optuna_storage import open_optuna_storage
from tests.service.workers.conftest import SINGLE_OBJECTIVE_SAMPLERS

Open = Callable[[], OptunaSearch]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/optuna.sqlite3"


@pytest.fixture
def open_search(url: str, plan: Plan) -> Open:
    """Open the search again, as the next runner does."""
    return lambda: OptunaSearch(open_optuna_storage(url), "study", plan)


def trials(url: str) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="study", storage=url).trials


def test_search_starts_with_the_baseline_and_the_papers_default(open_search: Open) -> None:
    search = open_search()
    first, second = search.ask(), search.ask()
    assert first == Proposal(0, RECIPE_BASELINE)
    assert second.number == 1
    assert second.ham_config.alpha == pytest.approx(PAPER_DEFAULT.alpha)
    assert second.ham_config.beta == pytest.approx(PAPER_DEFAULT.beta)


def test_search_proposes_configurations_inside_the_space(open_search: Open, plan: Plan) -> None:
    search = open_search()
    for _ in range(30):
        proposal = search.ask()
        assert plan.space.contains(proposal.ham_config)
        search.tell(proposal.number, Outcome(validation_accuracy=0.9))


def test_dashboard_shows_every_epoch_and_the_exact_configuration(
    open_search: Open, url: str
) -> None:
    search = open_search()
    number, ham_config, _ = search.ask()
    for epoch in (1, 2, 3):
        search.report(number, epoch, 0.5 + epoch / 10)
    search.tell(number, Outcome(validation_accuracy=0.8))
    (shown,) = (trial for trial in trials(url) if trial.number == number)
    assert shown.state == TrialState.COMPLETE
    assert shown.value == 0.8
    assert shown.intermediate_values == {1: 0.6, 2: 0.7, 3: 0.8}
    assert shown.user_attrs["setting"] == {"alpha": ham_config.alpha, "beta": ham_config.beta}


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(error="diverged: the loss is not finite at step 7"),
        Outcome(validation_accuracy=math.nan),
        Outcome(validation_accuracy=math.inf),
        Outcome(),
    ],
)
def test_a_run_without_a_finite_result_leaves_a_failed_trial_with_its_reason(
    open_search: Open, url: str, outcome: Outcome
) -> None:
    search = open_search()
    number, *_ = search.ask()
    search.report(number, 1, math.nan)
    search.tell(number, outcome)
    states = [trial.state for trial in trials(url) if trial.state != TrialState.WAITING]
    assert states == [TrialState.FAIL]
    assert trials(url)[number].user_attrs["fail_reason"]


def test_a_failed_trial_is_never_the_best(open_search: Open, url: str) -> None:
    search = open_search()
    good, bad = search.ask(), search.ask()
    search.report(bad.number, 1, 0.999)
    search.tell(bad.number, Outcome(error="diverged"))
    search.tell(good.number, Outcome(validation_accuracy=0.5))
    assert optuna.load_study(study_name="study", storage=url).best_trial.number == good.number


def test_unfinished_trials_are_proposed_again_with_the_same_configuration(
    open_search: Open, url: str
) -> None:
    lost = open_search()
    finished, *left = [lost.ask() for _ in range(4)]
    lost.tell(finished.number, Outcome(validation_accuracy=0.9))

    successor = open_search()
    assert successor.asked == 1
    assert [successor.ask() for _ in left] == left
    assert successor.asked == 4
    assert len(trials(url)) == 4


@pytest.mark.parametrize("crash", range(5))
def test_a_crash_while_the_first_trials_are_enqueued_loses_none_and_doubles_none(
    url: str, plan: Plan, monkeypatch: pytest.MonkeyPatch, crash: int
) -> None:
    opening = (HamConfig(3.0, 0.1), HamConfig(30.0, 0.01))
    enqueue = optuna.Study.enqueue_trial
    queued: list[dict[str, float]] = []

    def breaks(study: optuna.Study, point: dict[str, float]) -> None:
        if len(queued) == crash:
            raise ConnectionError("the database is gone")
        enqueue(study, point)
        queued.append(point)

    with monkeypatch.context() as broken:
        broken.setattr(optuna.Study, "enqueue_trial", breaks)
        with contextlib.suppress(ConnectionError):
            OptunaSearch(open_optuna_storage(url), "study", plan, opening)
    later = (HamConfig(5.0, 0.5),)  # ignored: the first trials were decided before the crash
    search = OptunaSearch(open_optuna_storage(url), "study", plan, later)
    asked = [search.ask().ham_config for _ in range(5)]
    assert asked[:4] == [RECIPE_BASELINE, PAPER_DEFAULT, *opening]
    assert asked[4] not in asked[:4]


def test_the_next_proposal_depends_only_on_the_history(tmp_path: Path, plan: Plan) -> None:
    def search_through(name: str, reopen: bool) -> list[Proposal]:
        url = f"sqlite:///{tmp_path}/{name}.sqlite3"
        search = OptunaSearch(open_optuna_storage(url), "study", plan)
        proposals = []
        for _ in range(16):
            if reopen:
                search = OptunaSearch(open_optuna_storage(url), "study", plan)
            proposal = search.ask()
            search.tell(proposal.number, Outcome(validation_accuracy=proposal.ham_config.beta))
            proposals.append(proposal)
        return proposals

    assert search_through("kept", reopen=False) == search_through("reopened", reopen=True)


@pytest.mark.parametrize("sampler", ["random", "tpe", "gp", "cmaes"])
def test_a_runner_lost_between_two_parameters_changes_no_proposal(
    url: str, request_: StudyRequest, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = {"tune": ("alpha_schedule", "beta_schedule"), "sampler": sampler}
    plan = resolve(request_.model_copy(update=tune))
    storage = open_optuna_storage(url)
    undisturbed = OptunaSearch(storage, "undisturbed", plan)
    expected = [undisturbed.ask() for _ in range(6)]
    suggest = optuna_compat.suggest
    search = OptunaSearch(storage, "disturbed", plan)
    found = [search.ask() for _ in range(5)]
    for lost_after in (1, 2, 3):
        left = iter(range(lost_after))

        def lost(*arguments: Any, left: Iterator[int] = left) -> Any:
            next(left)
            return suggest(*arguments)

        monkeypatch.setattr(optuna_compat, "suggest", lost)
        with pytest.raises(StopIteration):
            search.ask()
        monkeypatch.undo()
        search = OptunaSearch(storage, "disturbed", plan)
        for proposal in found:
            assert search.ask() == proposal
    assert search.ask() == expected[5]
    assert found == expected[:5]


def test_telling_twice_changes_nothing(open_search: Open, url: str) -> None:
    search = open_search()
    number, *_ = search.ask()
    search.tell(number, Outcome(validation_accuracy=0.7))
    search.tell(number, Outcome(validation_accuracy=0.9))
    assert trials(url)[number].value == 0.7


def test_optuna_lives_beside_our_tables(
    database: Database, settings: Settings, plan: Plan
) -> None:
    """In a second file on SQLite, in its own schema on PostgreSQL."""
    optuna_storage = open_optuna_storage(settings.optuna_database)
    OptunaSearch(optuna_storage, "study", plan).ask()
    with database.read() as session:
        tables = set(inspect(session.connection()).get_table_names())
    assert "study" in tables
    assert "trials" not in tables
    optuna_storage.remove_session()
    optuna_storage.engine.dispose()


@pytest.fixture
def open_branches(url: str, request_: StudyRequest) -> Callable[[], Search]:
    """Open the search of a study that tunes learning rate and weight decay as well."""
    tune = {"tune": ("learning_rate", "weight_decay")}
    plan = resolve(request_.model_copy(update=tune))
    return lambda: optuna_search.open_search(open_optuna_storage(url), "study", plan)


def test_branches_take_turns_and_the_baseline_is_searched_over_its_own_axes(
    open_branches: Callable[[], Search], url: str
) -> None:
    search = open_branches()
    asked = [search.ask() for _ in range(12)]
    assert [proposal.number for proposal in asked] == list(range(12))
    assert asked[0].ham_config.alpha == pytest.approx(PAPER_DEFAULT.alpha)
    assert asked[1].ham_config == RECIPE_BASELINE, "at the recipe's values"
    assert all(proposal.ham_config.is_baseline for proposal in asked[1::2])
    assert len({proposal.ham_config for proposal in asked[1::2]}) == 6
    assert sum(proposal.ham_config.is_baseline for proposal in asked[::2]) <= 1
    for number, *_ in asked:
        search.report(number, 1, 0.5 + number / 100)
        search.tell(number, Outcome(validation_accuracy=0.8 + number / 100))
    assert search.history().final == {number: 0.8 + number / 100 for number in range(12)}
    assert search.history().accuracies[7] == {1: 0.5 + 7 / 100}
    baseline = optuna.load_study(study_name="study no HAM", storage=url).trials
    assert [trial.value for trial in baseline] == [0.8 + n / 100 for n in range(1, 12, 2)]
    assert baseline[1].params.keys() == {"learning_rate", "weight_decay"}
    assert trials(url)[2].params.keys() == {"alpha", "beta", "learning_rate", "weight_decay"}


@pytest.mark.parametrize("sampler", SINGLE_OBJECTIVE_SAMPLERS)
def test_schedules_are_chosen_by_every_sampler_and_shown_by_optuna(
    url: str, request_: StudyRequest, sampler: Sampler
) -> None:
    tune = {"tune": ("alpha_schedule", "beta_schedule"), "sampler": sampler}
    plan = resolve(request_.model_copy(update=tune))
    search = optuna_search.open_search(open_optuna_storage(url), "study", plan)
    for _ in range(24):
        number, ham_config, _ = search.ask()
        falls = ham_config.beta_schedule != "constant"
        search.tell(number, Outcome(validation_accuracy=0.8 + 0.1 * falls))
    told = [trial for trial in trials(url) if trial.state == TrialState.COMPLETE]
    chosen = [trial.params["beta_schedule"] for trial in told]
    assert chosen[:2] == ["constant"] * 2, "the baselines"
    assert set(chosen) == {"constant", "linear", "cosine"}
    assert any(trial.user_attrs["setting"].get("beta_schedule") == "linear" for trial in told)
    if sampler == "tpe":
        assert sum(schedule != "constant" for schedule in chosen[12:]) > 8


def test_branches_go_on_in_turns_after_a_runner_was_lost(
    open_branches: Callable[[], Search],
) -> None:
    search = open_branches()
    asked = [search.ask() for _ in range(5)]
    for number in (0, 1, 3):
        search.tell(number, Outcome(validation_accuracy=0.9))
    search = open_branches()
    assert search.asked == 3
    again = [search.ask() for _ in range(4)]
    assert [number for number, *_ in again] == [2, 4, 5, 6]
    assert again[:2] == [asked[2], asked[4]], "the same configurations"
