"""The address of the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from ham.client.address import service_url


def test_address_comes_from_the_environment_then_the_data_folder_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAMTUNE_URL", raising=False)
    assert service_url(tmp_path) == "http://127.0.0.1:8642"
    (tmp_path / "service.json").write_text('{"url": "http://x:1", "instance": "i", "pid": 1}')
    assert service_url(tmp_path) == "http://x:1"
    monkeypatch.setenv("HAMTUNE_URL", "http://y:2/")
    assert service_url(tmp_path) == "http://y:2"
