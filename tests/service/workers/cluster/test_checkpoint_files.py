"""Files of checkpoints: the one that is read is complete, and the newest."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.workers.cluster.checkpoint_files import (
    TrainingCheckpoint,
    read_checkpoint,
    write_checkpoint,
)


def test_only_the_newest_checkpoint_is_kept(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    for epoch in (9, 10, 11):
        write_checkpoint(tmp_path, TrainingCheckpoint(epoch, b"content"))
        assert read_checkpoint(tmp_path) == TrainingCheckpoint(epoch, b"content")
        assert len(list(tmp_path.iterdir())) == 1


def test_a_checkpoint_replaces_those_of_later_epochs(tmp_path: Path) -> None:
    """A worker that resumed at an earlier epoch found no later checkpoint that was complete."""
    write_checkpoint(tmp_path, TrainingCheckpoint(10, b"later"))
    write_checkpoint(tmp_path, TrainingCheckpoint(4, b"content"))
    assert read_checkpoint(tmp_path) == TrainingCheckpoint(4, b"content")


@pytest.mark.parametrize("length", [0, 5, 14])
def test_a_truncated_checkpoint_is_ignored_in_favour_of_the_one_before_it(
    tmp_path: Path, length: int
) -> None:
    write_checkpoint(tmp_path, TrainingCheckpoint(9, b"a whole content"))
    (tmp_path / "10-13.state").write_bytes(b"another state."[:length])
    assert read_checkpoint(tmp_path) == TrainingCheckpoint(9, b"a whole content")
    (tmp_path / "9-15.state").unlink()
    assert read_checkpoint(tmp_path) is None


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "checkpoint_000000").mkdir()
    (tmp_path / "mine.state").write_bytes(b"mine")
    assert read_checkpoint(tmp_path) is None
    write_checkpoint(tmp_path, TrainingCheckpoint(1, b"content"))
    assert (tmp_path / "mine.state").exists() and (tmp_path / "checkpoint_000000").exists()
