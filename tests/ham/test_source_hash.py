"""One hash of ham's sources: it changes with every file that can change a result."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from ham import source_hash
from ham.training.environment import describe_environment
from service.workers.cluster.worker_pool import pool_name
from tests.test_layering import IMPORTS, under


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the package."""
    return Path(shutil.copytree(source_hash.PACKAGE, tmp_path / "ham"))


def append(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write("\n/* changed */\n")


@pytest.mark.parametrize(
    "path", ["optim/kernels/native.c", "optim/hyperbolic.py", "optim/kernels/new.cu", "new/new.h"]
)
def test_hash_changes_with_every_kind_of_source_file(copied: Path, path: str) -> None:
    assert source_hash.hash_of(copied) == source_hash.source_hash()
    append(copied / path)
    assert source_hash.hash_of(copied) != source_hash.source_hash()


def test_hash_changes_with_the_name_of_a_file(copied: Path) -> None:
    (copied / "optim/sam.py").rename(copied / "optim/sharpness.py")
    assert source_hash.hash_of(copied) != source_hash.source_hash()


@pytest.mark.parametrize(
    "path", ["client/new.py", "optim/__pycache__/sam.cpython-311.pyc", ".DS_Store", ".cache/x.py"]
)
def test_files_without_a_part_in_training_leave_the_hash(copied: Path, path: str) -> None:
    append(copied / path)
    assert source_hash.hash_of(copied) == source_hash.source_hash()


def test_no_module_that_trains_imports_the_client() -> None:
    importers = {each.module for each in IMPORTS if under(each.target, ("ham.client",))}
    assert [name for name in importers if under(name, ("ham",))] == [
        name for name in importers if under(name, ("ham.client",))
    ]


def test_changed_kernel_changes_the_environment_of_runs_and_the_pool_of_workers(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identities() -> tuple[str | int, str]:
        environment = describe_environment(torch.device("cpu"), cpu_threads=1, data_hash="")
        return environment["code"], pool_name()

    before = identities()
    append(copied / "optim/kernels/native.c")
    monkeypatch.setattr(source_hash, "PACKAGE", copied)
    source_hash.source_hash.cache_clear()
    try:
        after = identities()
    finally:
        source_hash.source_hash.cache_clear()
    assert after[0] != before[0] and after[1] != before[1]
    assert after[1].endswith(str(after[0])), "both are one hash"
