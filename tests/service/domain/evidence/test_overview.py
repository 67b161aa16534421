"""The overview counts wins, losses and ranks over all boards; environments are told apart."""

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


def test_settings_are_compared_within_combinations_and_methods_by_rank(
    storage: Storage,
) -> None:
    for sparsifier, tuned, plain in (("random", 0.95, 0.90), ("rigl", 0.92, 0.94)):
        evidence = (
            an_evidence("tuned", SETTING, around(tuned)),
            an_evidence("no HAM", RECIPE_BASELINE, around(plain, -1)),
            an_evidence("paper", PAPER_DEFAULT, around(0.70)),
        )
        recommend(storage, evidence, sparsifier=sparsifier)
    only = (an_evidence("tuned", SETTING, around(0.97)),)
    recommend(storage, only, sparsifier="dense", sparsity=0.0)
    found = overview(storage.recommendations)
    assert (found.benchmarks, found.combinations) == (2, 3)
    assert found.grades == {Grade.CONFIRMED: 3}
    tuned_or_not, tuned_or_paper, _ = found.settings
    assert (tuned_or_not.role, tuned_or_not.other) == ("tuned", "no HAM")
    assert (tuned_or_not.combinations, tuned_or_not.wins, tuned_or_not.losses) == (2, 1, 1)
    assert tuned_or_not.mean_gain == pytest.approx(0.015)
    assert (tuned_or_paper.wins, tuned_or_paper.losses) == (2, 0)
    rates = {(row.sparsifier, row.role): row.win_rate for row in found.methods}
    assert rates["random", "tuned"] == 1.0
    assert rates["rigl", "no HAM"] == pytest.approx(4 / 5)
    assert rates["dense", "tuned"] == 0.5, "alone on its board"
    assert rates["random", "paper"] == rates["rigl", "paper"] == pytest.approx(0.1), "they tie"
    assert [row.win_rate for row in found.methods] == sorted(rates.values(), reverse=True)


def test_overview_of_nothing_is_empty(storage: Storage) -> None:
    found = overview(storage.recommendations)
    assert (found.benchmarks, found.methods) == (0, ())
    assert [row.mean_gain for row in found.settings] == [None] * 3


def test_board_says_where_its_rows_were_trained(storage: Storage) -> None:
    for sparsifier, device in (("random", "a CPU, torch 2"), ("rigl", "a GPU, torch 2")):
        evidence = an_evidence("tuned", SETTING, around(0.9))
        labelled = evidence.model_copy(update={"environments": (device,)})
        recommend(storage, (labelled,), sparsifier=sparsifier)
    [board] = leaderboards(storage.recommendations)
    assert board.environments == ("a CPU, torch 2", "a GPU, torch 2")
    assert {row.environments for row in board.rows} == {(label,) for label in board.environments}


def test_label_names_device_torch_and_precision() -> None:
    facts = {"device": "NVIDIA H100", "torch": "2.9.1", "precision": "bfloat16", "threads": 0}
    assert environment_label(facts) == "NVIDIA H100, torch 2.9.1, bfloat16"
    assert environment_label({}) == "unknown"
