"""How a race spends its trainings."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.domain.race import heats, length, survivors, trainings
from service.domain.stages import MOST_HEATS

sizes = st.integers(1, 20)


@given(sizes, sizes)
def test_race_never_spends_more_than_planned_and_wastes_little(
    finalists: int, seeds_each: int
) -> None:
    planned = heats(finalists, seeds_each)
    spent = trainings(planned)
    assert 0 <= finalists * seeds_each - spent < max(planned[-1].entrants, finalists)


@given(sizes, sizes)
def test_every_heat_halves_the_field_and_gives_each_at_least_as_many_seeds(
    finalists: int, seeds_each: int
) -> None:
    planned = heats(finalists, seeds_each)
    assert planned[0].entrants == finalists
    for before, after in pairwise(planned):
        assert after.entrants == survivors(before.entrants) < before.entrants
        assert after.seeds >= before.seeds >= 1


@given(sizes, st.integers(5, 20))
def test_last_ones_in_the_race_get_more_than_an_equal_share(finalists: int, each: int) -> None:
    assert length(heats(finalists, each)) >= each


def test_most_heats_are_those_of_the_largest_field() -> None:
    assert max(len(heats(finalists, 100)) for finalists in range(1, 21)) == MOST_HEATS


def test_a_single_finalist_runs_its_seeds() -> None:
    [heat] = heats(1, 5)
    assert heat == (1, 5)
