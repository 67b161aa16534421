"""The overview counts wins, losses and ranks over all leaderboards, and names environments."""

from __future__ import annotations

import pytest

from ham.client.records import Grade
from ham.config import PAPER_DEFAULT, RECIPE_BASELINE
from service.domain.evidence.environments import environment_label
from service.domain.evidence.leaderboards import leaderboards
from service.domain.evidence.overview import overview
from service.storage import Storage
from tests.service.builders import SETTING, an_evidence
from tests.service.domain.evidence.test_leaderboards import around, recommend


def test_roles_are_compared_within_combinations_and_methods_by_rank(
    storage: Storage,
) -> None:
    for sparsifier, tuned, baseline in (("random", 0.95, 0.90), ("rigl", 0.92, 0.94)):
        evidence = (
            an_evidence("tuned", SETTING, around(tuned)),
            an_evidence("no HAM", RECIPE_BASELINE, around(baseline, -1)),
            an_evidence("paper", PAPER_DEFAULT, around(0.70)),
        )
        recommend(storage, evidence, sparsifier=sparsifier)
    only = (an_evidence("tuned", SETTING, around(0.97)),)
    recommend(storage, only, sparsifier="dense", sparsity=0.0)
    found = overview(storage.recommendations)
    assert (found.benchmarks, found.combinations) == (2, 3)
    assert found.grades == {Grade.CONFIRMED: 3}
    over_baseline, over_paper, _ = found.settings
    assert (over_baseline.role, over_baseline.other) == ("tuned", "no HAM")
    assert (over_baseline.combinations, over_baseline.wins, over_baseline.losses) == (2, 1, 1)
    assert over_baseline.mean_gain == pytest.approx(0.015)
    assert (over_paper.wins, over_paper.losses) == (2, 0)
    rates = {(method.sparsifier, method.role): method.win_rate for method in found.methods}
    assert rates["random", "tuned"] == 1.0
    assert rates["rigl", "no HAM"] == pytest.approx(4 / 5)
    assert rates["dense", "tuned"] == 0.5, "alone on its board"
    assert rates["random", "paper"] == rates["rigl", "paper"] == pytest.approx(0.1), "they tie"
    assert [method.win_rate for method in found.methods] == sorted(rates.values(), reverse=True)


def test_overview_of_nothing_is_empty(storage: Storage) -> None:
    found = overview(storage.recommendations)
    assert (found.benchmarks, found.methods) == (0, ())
    assert [comparison.mean_gain for comparison in found.settings] == [None] * 3


def test_leaderboard_has_the_environments_of_its_entries(storage: Storage) -> None:
    for sparsifier, device in (("random", "a CPU, torch 2"), ("rigl", "a GPU, torch 2")):
        evidence = an_evidence("tuned", SETTING, around(0.9))
        labelled = evidence.model_copy(update={"environments": (device,)})
        recommend(storage, (labelled,), sparsifier=sparsifier)
    [board] = leaderboards(storage.recommendations)
    assert board.environments == ("a CPU, torch 2", "a GPU, torch 2")
    assert {entry.environments for entry in board.rows} == {
        (label,) for label in board.environments
    }


def test_label_names_device_torch_and_precision() -> None:
    facts = {"device": "NVIDIA H100", "torch": "2.9.1", "precision": "bfloat16", "threads": 0}
    assert environment_label(facts) == "NVIDIA H100, torch 2.9.1, bfloat16"
    assert environment_label({}) == "unknown"
