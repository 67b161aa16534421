"""``hamtune config`` shows every setting, masks secrets and writes the table of the docs."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import ham
from service.cli.app import app
from service.cli.config import OTHERS
from service.settings import Settings

ROOT = Path(__file__).parents[3]
COMMAND = ("config", "--json")


def variables(**environment: str) -> dict[str, dict[str, str]]:
    done = CliRunner(env=environment).invoke(app, COMMAND)
    assert done.exit_code == 0, done.output
    return {variable["variable"]: variable for variable in json.loads(done.stdout)}


def test_every_setting_is_shown_with_its_origin_and_meaning() -> None:
    found = variables(HAMTUNE_PORT="9000", HAMTUNE_LEASE_SECONDS="7.5")
    assert len(found) == len(Settings.model_fields) + len(OTHERS)
    assert all(variable["meaning"] for variable in found.values())
    assert (found["HAMTUNE_PORT"]["value"], found["HAMTUNE_PORT"]["origin"]) == (
        "9000",
        "environment",
    )
    assert found["HAMTUNE_HOST"]["origin"] == "default"
    assert "HAMTUNE_DATABASE_URL" in CliRunner().invoke(app, ["config"]).stdout


def test_secrets_are_masked() -> None:
    secrets = {
        "HAMTUNE_DATABASE_URL": "postgresql://me:s3cr3t@db/hamtune",
        "HAMTUNE_API_KEY": "s3cr3t",
    }
    for args in (["config"], list(COMMAND)):
        shown = CliRunner(env=secrets).invoke(app, args).stdout
        assert "s3cr3t" not in shown
        assert "***" in shown


def test_invalid_setting_is_refused_with_its_value() -> None:
    done = CliRunner(env={"HAMTUNE_PORT": "many"}).invoke(app, ["config"])
    assert done.exit_code == 2
    assert "port='many' is not allowed" in done.stderr.lower()


@pytest.mark.parametrize(
    "address", ["head", "local", "ray://", "http://head:8265/x", "ftp://head:21"]
)
def test_invalid_cluster_addresses_are_refused(address: str) -> None:
    done = CliRunner(env={"RAY_ADDRESS": address}).invoke(app, ["worker"])
    assert done.exit_code == 2
    assert f"RAY_ADDRESS='{address}' is not allowed" in done.stderr
    assert "HOST:PORT" in done.stderr and "auto" in done.stderr and "jobs" in done.stderr


@pytest.mark.parametrize(
    "address, head",
    [
        ("ray://head:10001", "head:6379"),
        ("ray://head", "head:6379"),
        ("http://10.0.0.7:8265/", "10.0.0.7:6379"),
        ("https://[fd00::7]:8265", "[fd00::7]:6379"),
    ],
)
def test_addresses_of_client_and_jobs_become_that_of_the_head(address: str, head: str) -> None:
    assert Settings.model_validate({"RAY_ADDRESS": address}).ray_address == head


@pytest.mark.parametrize("address", ["head:6379", "10.0.0.7:6380", "[fd00::7]:6379", "auto"])
def test_valid_cluster_addresses_are_kept(address: str) -> None:
    assert Settings.model_validate({"RAY_ADDRESS": address}).ray_address == address
    empty = Settings.model_validate({"RAY_ADDRESS": ""})
    assert empty.ray_address is None, "an empty variable of a compose file"


def test_docs_list_every_setting() -> None:
    table = CliRunner(env={}).invoke(app, ["config", "--markdown"]).stdout
    assert table in (ROOT / "docs/reference/settings.md").read_text()


def test_version_is_that_of_the_distribution() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.stdout == f"hamtune {ham.__version__}\n"
    assert ham.__version__ == importlib.metadata.version("hamtune")
