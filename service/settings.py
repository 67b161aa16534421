"""Settings of the service, read once from the environment (``HAMTUNE_*``)."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ham.client.records.studies import LARGEST_PRIORITY
from service.records.keys import Limits


class Settings(BaseSettings):
    """Data folder, database, address, Ray cluster, limits and log of the service."""

    model_config = SettingsConfigDict(env_prefix="HAMTUNE_", frozen=True)

    data_dir: Path = Field(
        default=Path(".hamtune"),
        description="Folder of the embedded databases, logs and Ray's results.",
    )
    database_url: str | None = Field(
        default=None,
        description="`postgresql://user:password@host/database`; if unset, SQLite in "
        "HAMTUNE_DATA_DIR.",
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8642, ge=1, le=65535, description="Port the API listens on.")
    ray_address: str | None = Field(
        default=None,
        validation_alias="RAY_ADDRESS",
        description="Address of a Ray cluster: its head (`host:6379`), `auto` (the cluster of "
        "this machine), its client (`ray://host:10001`) or its jobs (`http://host:8265`). For "
        "client and jobs the head is assumed to listen on port 6379. If unset, a local cluster "
        "is started.",
    )
    cpus: int | None = Field(
        default=None, ge=1, description="CPUs of the local Ray cluster; if unset, all CPUs."
    )
    concurrent_studies: int = Field(
        default=2, ge=1, description="Studies that one scheduler runs at the same time."
    )
    gpus_per_trial: float | None = Field(
        default=None,
        ge=0,
        description="GPUs of one training. If unset, the share that its model fills, or 0 on a "
        "machine without GPUs. Several GPUs share each batch.",
    )
    run_seconds: float = Field(
        default=86_400.0,
        gt=0,
        description="Longest time of one training, in seconds; a longer one is ended and recorded "
        "as hung.",
    )
    checkpoints: str | None = Field(
        default=None,
        description="Folder or bucket (`s3://bucket/folder`, `gs://`, `abfs://`) for the "
        "checkpoints of running trainings. All schedulers must reach it; short epochs cost less "
        "if the workers reach it too. If unset, `checkpoints` in HAMTUNE_DATA_DIR.",
    )
    checkpoint_seconds: float = Field(
        default=0.0,
        ge=0,
        description="Shortest time between two checkpoints of a training, in seconds; 0 keeps one "
        "after every epoch.",
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds without a heartbeat of its scheduler after which another scheduler "
        "takes a study over.",
    )
    max_attempts: int = Field(
        default=5, ge=1, description="Runners that a study may lose before it fails."
    )
    max_queued_studies: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of queued studies of one submitter; if unset, no limit.",
    )
    gpu_hours: float | None = Field(
        default=None,
        ge=0,
        description="Largest number of GPU hours of one submitter within 30 days; if unset, no "
        "limit.",
    )
    max_priority: int = Field(
        default=0,
        ge=-LARGEST_PRIORITY,
        le=LARGEST_PRIORITY,
        description="Highest priority that a `submit` key may set; an `admin` key may set any.",
    )

    require_keys: bool | None = Field(
        default=None,
        description="`true`: requests need an API key. If unset, they need one unless the host is "
        "loopback.",
    )
    requests_per_second: float | None = Field(
        default=None,
        gt=0,
        description="Request rate of one key, or of one address without keys, at one API process. "
        "A burst may hold the requests of four seconds. If unset, no limit.",
    )
    max_request_bytes: int = Field(
        default=2**20, ge=1024, description="Largest request body, in bytes."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="`json`: one object a line; `text`: for people; `auto`: text in a terminal, "
        "else JSON.",
    )

    @field_validator("ray_address")
    @classmethod
    def _is_a_head(cls, address: str | None) -> str | None:
        """Return the address of the head, also for the addresses of Ray's client and jobs.

        With a client's or a jobs address, Ray would run Tune, and with it the search, inside the
        cluster, without the database and the scheduler. Both name the host of the head, whose
        port is 6379 by default.
        """
        if not address:
            return None
        if other := _CLIENT_OR_JOBS.fullmatch(address):
            return f"{other['host']}:{_PORT_OF_HEADS}"
        if address != "auto" and not _HEAD.fullmatch(address):
            raise PydanticCustomError(
                "ray_address",
                "it must be HOST:PORT of the head of a Ray cluster (by default port 6379), `auto` "
                "on a node of it, or the address of the head's client (ray://HOST:10001) or jobs "
                "(http://HOST:8265)",
            )
        return address

    @field_validator("gpus_per_trial")
    @classmethod
    def _is_a_share_or_whole(cls, gpus: float | None) -> float | None:
        """Refuse a fraction above 1: a training uses a share of one GPU, or whole GPUs."""
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise PydanticCustomError("gpus_per_trial", "above 1 it must be a whole number")
        return gpus

    @property
    def keys_required(self) -> bool:
        """Whether requests need an API key."""
        return not is_loopback(self.host) if self.require_keys is None else self.require_keys

    @property
    def limits(self) -> Limits:
        """Limits of a submitter whose key has none of its own."""
        return Limits(max_queued_studies=self.max_queued_studies, gpu_hours=self.gpu_hours)

    @property
    def checkpoint_location(self) -> str:
        """Absolute path or address of the checkpoint store."""
        if not self.checkpoints:
            return str(self.data_dir.resolve() / "checkpoints")
        if "://" in self.checkpoints:
            return self.checkpoints
        return str(Path(self.checkpoints).resolve())

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the tables."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir.resolve()}/hamtune.sqlite3"
        return _with_driver(self.database_url)

    @property
    def optuna_database(self) -> str:
        """SQLAlchemy URL of Optuna's storage: a second SQLite file, or a schema in PostgreSQL."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir.resolve()}/optuna.sqlite3"
        url = _with_driver(self.database_url)
        separator = "&" if "?" in url else "?"
        return f"{url}{separator}options=-csearch_path%3D{OPTUNA_SCHEMA}"


OPTUNA_SCHEMA = "optuna"
_HEAD = re.compile(r"[^/\s]+:[0-9]{1,5}")
_CLIENT_OR_JOBS = re.compile(r"(ray|https?)://(?P<host>[^/\s:]+|\[[^/\s]+\])(:[0-9]{1,5})?/?")
_PORT_OF_HEADS = 6379


def is_loopback(host: str) -> bool:
    """Return True if a host name or address always means this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # another name
        return False


def _with_driver(url: str) -> str:
    """Return a PostgreSQL URL with the driver psycopg 3 unless it names it already.

    Raises:
        ValueError: the URL is of another database or driver.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if scheme.startswith("postgresql+psycopg") and separator:
        return url
    raise ValueError(
        f"HAMTUNE_DATABASE_URL begins with {scheme.partition(':')[0]!r}; it must be "
        "postgresql://user:password@host/database, or unset for SQLite in HAMTUNE_DATA_DIR"
    )
