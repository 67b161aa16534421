"""How a race spends its trainings."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.domain.search.screening_rounds import MAX_ROUNDS, plan_rounds, trainings

sizes = st.integers(1, 20)


@given(sizes, sizes)
def test_race_never_spends_more_than_planned_and_wastes_little(
    finalists: int, seeds_each: int
) -> None:
    planned = plan_rounds(finalists, seeds_each)
    spent = trainings(planned)
    assert 0 <= finalists * seeds_each - spent < max(planned[-1].candidates, finalists)


@given(sizes, sizes)
def test_field_shrinks_and_those_left_get_at_least_as_many_seeds(
    finalists: int, seeds_each: int
) -> None:
    planned = plan_rounds(finalists, seeds_each)
    assert planned[0].candidates == finalists
    assert len(planned) <= MAX_ROUNDS
    for before, after in pairwise(planned):
        assert min(finalists, 3) <= after.candidates <= before.candidates
        assert after.seeds >= before.seeds >= 1


def test_default_race_spends_all_its_trainings_on_ever_fewer() -> None:
    assert trainings(plan_rounds(8, 3)) == 24
    assert [heat.candidates for heat in plan_rounds(8, 3)] == [8, 6, 4, 3, 3]


def test_a_single_finalist_runs_its_seeds() -> None:
    assert trainings(plan_rounds(1, 5)) == 5
