"""``hamtune keys``, with a service that needs keys."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli.app import app
from tests.service.cli.conftest import free_port, start_serving, stop


@pytest.fixture
def cli(tmp_path: Path) -> CliRunner:
    return CliRunner(env={"HAMTUNE_DATA_DIR": str(tmp_path)})


def test_created_key_is_accepted_by_a_service_that_needs_one(
    cli: CliRunner, tmp_path: Path
) -> None:
    made = cli.invoke(app, ["keys", "create", "ada", "--scope", "read"])
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    process = start_serving(tmp_path, free_port(), HAMTUNE_REQUIRE_KEYS="true")
    refused = cli.invoke(app, ["studies"])
    assert refused.exit_code == 1
    assert "HAMTUNE_API_KEY" in refused.stderr
    allowed = cli.invoke(app, ["studies", "--json"], env={"HAMTUNE_API_KEY": token})
    assert (allowed.exit_code, json.loads(allowed.stdout)) == (0, [])
    _, output = stop(process)
    assert "hamtune keys create" in output
    assert token not in output


def test_keys_are_listed_without_secrets_and_can_be_revoked(cli: CliRunner) -> None:
    token = cli.invoke(app, ["keys", "create", "ada"]).stdout.strip()
    listed = cli.invoke(app, ["keys", "list", "--json"])
    [key] = json.loads(listed.stdout)
    assert (key["name"], key["scope"], key["revoked_at"]) == ("ada", "submit", None)
    assert token[-43:] not in listed.stdout
    assert "ada" in cli.invoke(app, ["keys", "list"]).stdout
    assert cli.invoke(app, ["keys", "revoke", key["id"]]).exit_code == 0
    [key] = json.loads(cli.invoke(app, ["keys", "list", "--json"]).stdout)
    assert key["revoked_at"] is not None
    assert cli.invoke(app, ["keys", "revoke", "key_none"]).exit_code == 4
