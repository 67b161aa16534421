"""How a screening spends its trainings."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.domain.search.screening_rounds import MAX_ROUNDS, plan_rounds, training_count

sizes = st.integers(1, 20)


@given(sizes, sizes)
def test_screening_never_spends_more_than_planned_and_leaves_little_unspent(
    finalists: int, seeds_each: int
) -> None:
    planned = plan_rounds(finalists, seeds_each)
    spent = training_count(planned)
    assert 0 <= finalists * seeds_each - spent < max(planned[-1].candidates, finalists)


@given(sizes, sizes)
def test_rounds_shrink_and_give_each_candidate_at_least_as_many_seeds(
    finalists: int, seeds_each: int
) -> None:
    planned = plan_rounds(finalists, seeds_each)
    assert planned[0].candidates == finalists
    assert len(planned) <= MAX_ROUNDS
    for before, after in pairwise(planned):
        assert min(finalists, 3) <= after.candidates <= before.candidates
        assert after.seeds >= before.seeds >= 1


def test_default_screening_spends_all_its_trainings_on_ever_fewer_candidates() -> None:
    assert training_count(plan_rounds(8, 3)) == 24
    assert [planned.candidates for planned in plan_rounds(8, 3)] == [8, 6, 4, 3, 3]


def test_a_single_finalist_is_trained_on_all_its_seeds() -> None:
    assert training_count(plan_rounds(1, 5)) == 5
