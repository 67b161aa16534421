"""The checkpoint store: here a folder, opened by its path and by its address."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow.fs import FileSelector, FileType

from service.workers.cluster.checkpoints import (
    CheckpointStore,
    check_checkpoint_store,
    folder_of,
    open_checkpoint_store,
    path_of,
)

RUN = {"seed": 3}


def test_each_run_config_and_version_of_the_code_has_its_own_folder() -> None:
    folders = {
        folder_of("study", "run", RUN, "code"),
        folder_of("study", "run", RUN, "other code"),
        folder_of("study", "run", RUN | {"seed": 4}, "code"),
        folder_of("study", "other run", RUN, "code"),
        folder_of("other study", "run", RUN, "code"),
    }
    assert len(folders) == 5
    assert folder_of("study", "run", dict(RUN), "code") in folders


@pytest.fixture(params=[Path.as_posix, Path.as_uri])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CheckpointStore:
    return open_checkpoint_store(request.param(tmp_path))


def test_a_folder_has_a_path_and_a_bucket_has_none(tmp_path: Path) -> None:
    for location in (str(tmp_path / "a b"), (tmp_path / "a b").as_uri()):
        assert path_of(location, "study/run") == tmp_path / "a b" / "study" / "run"
    assert path_of("s3://bucket/folder", "study/run") is None


def put(store: CheckpointStore, path: str) -> None:
    folder = f"{store.folder}/{path}"
    store.files.create_dir(folder)
    with store.files.open_output_stream(f"{folder}/4-5.state") as stream:
        stream.write(b"bytes")


def test_a_store_lists_and_removes_checkpoints_and_folders(store: CheckpointStore) -> None:
    assert store.checkpoint_numbers("study/run") == []
    for name in ("checkpoint_000009", "checkpoint_000010", "checkpoint_000002", "else"):
        put(store, f"study/run/{name}")
    assert store.checkpoint_numbers("study/run") == [10, 9, 2]
    store.remove_older("study/run", 10)
    assert store.checkpoint_numbers("study/run") == [10]
    store.remove("study/run/checkpoint_000010")
    left = store.files.get_file_info(FileSelector(f"{store.folder}/study/run"))
    assert [entry.base_name for entry in left] == ["else"]
    for _ in range(2):
        store.remove("study")
    assert store.files.get_file_info(f"{store.folder}/study").type == FileType.NotFound


def test_a_store_lists_its_studies(store: CheckpointStore) -> None:
    began = datetime.now(UTC) - timedelta(seconds=2)
    study = "study_" + "0" * 26
    put(store, f"{study}/run/checkpoint_000000")
    put(store, "mine")
    ((name, changed),) = store.studies()
    assert name == study
    assert changed is not None and began <= changed <= datetime.now(UTC)


def test_a_study_changed_when_the_newest_of_its_files_did(tmp_path: Path) -> None:
    study = "study_" + "0" * 26
    checkpoint = tmp_path / study / "run" / "checkpoint_000000"
    checkpoint.mkdir(parents=True)
    times = (1_000_000_000, 1_000_000_100, 1_000_000_050)
    folders = (checkpoint, checkpoint.parent, checkpoint.parent.parent)
    for path, time in zip(folders, times, strict=True):
        os.utime(path, (time, time))
    last = datetime.fromtimestamp(max(times), UTC)
    assert list(open_checkpoint_store(str(tmp_path)).studies()) == [(study, last)]


def test_a_store_that_cannot_be_written_to_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    check_checkpoint_store(str(tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    for bad in (str(tmp_path / "file"), "bogus://bucket"):
        with pytest.raises(ValueError, match=r"HAMTUNE_CHECKPOINTS.*cannot be kept at.*; name a"):
            check_checkpoint_store(bad)
