"""The place of states of trainings: a folder here, a bucket elsewhere."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.workers.checkpoints import folder_of, open_place, read_state, write_state

RUN = {"seed": 3}


def test_a_state_that_was_cut_off_is_not_taken_for_one(tmp_path: Path) -> None:
    assert read_state(str(tmp_path)) is None
    write_state(str(tmp_path), b"a whole state")
    assert read_state(str(tmp_path)) == b"a whole state"
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"a who")
    assert read_state(str(tmp_path)) is None


def test_a_state_fits_its_run_its_config_and_its_code_alone() -> None:
    folders = {
        folder_of("study", "run", RUN, "code"),
        folder_of("study", "run", RUN, "other code"),
        folder_of("study", "run", RUN | {"seed": 4}, "code"),
        folder_of("study", "other run", RUN, "code"),
        folder_of("other study", "run", RUN, "code"),
    }
    assert len(folders) == 5
    assert folder_of("study", "run", dict(RUN), "code") in folders


@pytest.mark.parametrize("as_uri", [False, True])
def test_a_place_lists_and_removes_what_is_there(tmp_path: Path, as_uri: bool) -> None:
    place = open_place(tmp_path.as_uri() if as_uri else str(tmp_path))
    assert place.checkpoints("study/run") == []
    for name in ("checkpoint_000009", "checkpoint_000010", "checkpoint_000002", "else"):
        (tmp_path / "study/run" / name).mkdir(parents=True)
    assert place.checkpoints("study/run") == [10, 9, 2]
    place.keep_only("study/run", 9)
    assert place.checkpoints("study/run") == [9]
    assert (tmp_path / "study/run/else").exists()
    place.remove("study")
    place.remove("study")
    assert list(tmp_path.iterdir()) == []


def test_a_place_knows_its_studies_and_when_they_changed_last(tmp_path: Path) -> None:
    study = "study_" + "0" * 26
    state = tmp_path / study / "run" / "checkpoint_000000"
    state.mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    times = (1_000_000_000, 1_000_000_100, 1_000_000_050)
    for path, time in zip((state, state.parent, state.parent.parent), times, strict=True):
        os.utime(path, (time, time))
    last = datetime.fromtimestamp(max(times), UTC)
    assert list(open_place(str(tmp_path)).studies()) == [(study, last)]


def test_a_place_that_cannot_be_written_to_is_found_out(tmp_path: Path) -> None:
    open_place(str(tmp_path / "new")).check()
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        open_place(str(tmp_path / "file")).check()
    with pytest.raises(ValueError, match="bogus"):
        open_place("bogus://bucket")
