"""Files of states: what is read is whole, and the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.workers.cluster.checkpoint_files import (
    TrainingCheckpoint,
    read_checkpoint,
    write_checkpoint,
)


def test_the_newest_state_alone_is_kept(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    for epoch in (9, 10, 11):
        write_checkpoint(tmp_path, TrainingCheckpoint(epoch, b"state"))
        assert read_checkpoint(tmp_path) == TrainingCheckpoint(epoch, b"state")
        assert len(list(tmp_path.iterdir())) == 1


def test_a_state_takes_the_place_of_later_ones(tmp_path: Path) -> None:
    """Whoever goes on from a state was given no later one, so what is later is torn."""
    write_checkpoint(tmp_path, TrainingCheckpoint(10, b"later"))
    write_checkpoint(tmp_path, TrainingCheckpoint(4, b"state"))
    assert read_checkpoint(tmp_path) == TrainingCheckpoint(4, b"state")


@pytest.mark.parametrize("length", [0, 5, 14])
def test_of_a_state_that_was_cut_off_the_one_before_it_is_taken(
    tmp_path: Path, length: int
) -> None:
    write_checkpoint(tmp_path, TrainingCheckpoint(9, b"a whole state"))
    (tmp_path / "10-13.state").write_bytes(b"another state."[:length])
    assert read_checkpoint(tmp_path) == TrainingCheckpoint(9, b"a whole state")
    (tmp_path / "9-13.state").unlink()
    assert read_checkpoint(tmp_path) is None


def test_other_files_are_let_be(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_000000").mkdir()
    (tmp_path / "mine.state").write_bytes(b"mine")
    assert read_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path, TrainingCheckpoint(1, b"state"))
    assert (tmp_path / "mine.state").exists() and (tmp_path / "checkpoint_000000").exists()
