"""A sparsifier from another package, from its installation to a leaderboard."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ham.client.client import Client
from ham.client.records import Budget, Purpose, StudyRequest, StudyState
from tests.service.cli.conftest import environment, free_port

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

PATIENCE_SECONDS = 240
BUDGET = Budget(trials=4, finalists=1, screening_seeds=1, confirmation_seeds=3)
SPEC = """
from ham.catalog import SparsifierSpec

CHECKERBOARD = SparsifierSpec(
    name="checkerboard",
    title="Checkerboard",
    factory="checkers.method:Checkerboard",
    description="Keeps every other weight, or every tenth.",
    family="at initialization",
    search_space="checkers:space.toml",
)
"""
SPACE = """
version = 3
[alpha]
low = 5.0
high = 50.0
[beta]
low = 1e-3
high = 0.1
"""
METHOD = """
import torch
from ham.sparsifiers.common import MaskedSparsifier
from ham.sparsifiers.common.topk import kept_count

class Checkerboard(MaskedSparsifier):
    def choose_masks(self, model, batches, loss):
        for name, weight in self.masks.weights.items():
            count = kept_count(weight.numel(), self.sparsity)
            positions = torch.linspace(0, weight.numel() - 1, count).long()
            mask = torch.zeros(weight.numel(), dtype=torch.bool)
            mask[positions] = True
            self.masks.set(name, mask.view_as(weight))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder as after ``pip install``: a package with a valid and a broken entry point."""
    package, metadata = tmp_path / "site" / "checkers", tmp_path / "site" / "checkers-1.dist-info"
    package.mkdir(parents=True)
    metadata.mkdir()
    (package / "__init__.py").touch()
    (package / "specs.py").write_text(SPEC)
    (package / "method.py").write_text(METHOD)
    (package / "space.toml").write_text(SPACE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: checkers\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[ham.sparsifiers]\n"
        "checkerboard = checkers.specs:CHECKERBOARD\n"
        "broken = checkers.missing:SPEC\n"
    )
    return tmp_path / "site"


@pytest.fixture
def client(installed: Path, tmp_path: Path) -> Iterator[Client]:
    """A client of ``hamtune serve`` with its scheduler, with the plug-in installed."""
    data_dir, port = tmp_path / "data", free_port()
    paths = [str(installed), os.environ.get("PYTHONPATH", "")]
    service = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--port", str(port)],
        env=environment(data_dir) | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: (data_dir / "service.json").exists())
    with Client(f"http://127.0.0.1:{port}") as client:
        yield client
    service.terminate()
    service.wait(60)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_a_plugin_is_listed_tuned_recommended_and_ranked(client: Client) -> None:
    listed = client._http.get("/v1/plugins").json()
    assert "checkerboard" in str(listed) and "checkers.missing" in str(listed)
    names = [spec["name"] for spec in client._http.get("/v1/sparsifiers").json()["items"]]
    assert "checkerboard" in names
    spaces = client._http.get("/v1/search-spaces").json()["items"]
    (space,) = [space for space in spaces if "checkerboard" in space["applies_to"]]
    assert (space["id"], space["alpha"]["high"]) == ("checkerboard@3", 50.0)

    study = client.submit(
        StudyRequest(
            model="digits_mlp",
            dataset="digits",
            sparsifier="checkerboard",
            sparsity=0.9,
            budget=BUDGET,
        )
    )
    until(lambda: client.study(study.id).state in (StudyState.SUCCEEDED, StudyState.FAILED))

    assert client.study(study.id).state == StudyState.SUCCEEDED, client.study(study.id).error
    ham_configs = [run.setting for run in client.runs(study.id, Purpose.SEARCH)]
    assert all(5 <= ham_config.alpha <= 50 for ham_config in ham_configs if ham_config.alpha)
    (recommendation,) = client.recommendations(sparsifier="checkerboard")
    assert recommendation.evidence[0].sparsity == pytest.approx(0.9, abs=0.005)
    board = client.leaderboard("digits_mlp-digits-0.90-digits@1")
    assert {entry.sparsifier for entry in board.rows} == {"checkerboard"}
