"""The address of the service."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ValidationError

DEFAULT_URL = "http://127.0.0.1:8642"
ADDRESS_FILE = "service.json"


class ServiceAddress(BaseModel):
    """The file that a running service writes into its data folder."""

    url: str
    instance: str
    pid: int


def service_url(data_dir: Path | None = None) -> str:
    """Return the address in HAMTUNE_URL, else that in the data folder, else the default."""
    if url := os.environ.get("HAMTUNE_URL"):
        return url.rstrip("/")
    folder = data_dir or Path(os.environ.get("HAMTUNE_DATA_DIR", ".hamtune"))
    try:
        return ServiceAddress.model_validate_json((folder / ADDRESS_FILE).read_bytes()).url
    except (OSError, ValidationError):
        return DEFAULT_URL
