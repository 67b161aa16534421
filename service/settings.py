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
    """Where the service keeps its data, where it listens and what its workers may use."""

    model_config = SettingsConfigDict(env_prefix="HAMTUNE_", frozen=True)

    data_dir: Path = Field(
        default=Path(".hamtune"),
        description="Folder of the embedded databases, logs and Ray's results.",
    )
    database_url: str | None = Field(
        default=None,
        description="postgresql://user:password@host/database; SQLite in data_dir where unset.",
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8642, ge=1, le=65535, description="Port the API listens on.")
    ray_address: str | None = Field(
        default=None,
        validation_alias="RAY_ADDRESS",
        description="A Ray cluster: `host:6379` (its head), `auto` (that of this machine), or "
        "the address of its client (`ray://host:10001`) or jobs (`http://host:8265`), whose head "
        "is then taken to be at port 6379; a local one is started where unset.",
    )
    cpus: int | None = Field(
        default=None, ge=1, description="CPUs of the local Ray; all of the machine's where unset."
    )
    concurrent_studies: int = Field(
        default=2, ge=1, description="Studies that one scheduler runs side by side."
    )
    gpus_per_trial: float | None = Field(
        default=None,
        ge=0,
        description="GPUs of one training; where unset, what its model fills, or 0 without GPUs. "
        "With several, each takes its share of every batch.",
    )
    run_seconds: float = Field(
        default=86_400.0,
        gt=0,
        description="A training that is not done after so long is ended, and recorded as hung.",
    )
    checkpoints: str | None = Field(
        default=None,
        description="Folder or bucket (`s3://bucket/folder`, `gs://`, `abfs://`) for the states "
        "of trainings under way; all schedulers must reach it, and short epochs cost least where "
        "workers reach it too. `checkpoints` in HAMTUNE_DATA_DIR where unset.",
    )
    checkpoint_seconds: float = Field(
        default=0.0,
        ge=0,
        description="Least time between two states that a training keeps; 0 keeps one after every "
        "epoch.",
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A study whose scheduler is silent for so long is taken over.",
    )
    max_attempts: int = Field(
        default=5, ge=1, description="Runners that may be lost before a study is given up."
    )
    max_queued_studies: int | None = Field(
        default=None,
        ge=1,
        description="Studies that one submitter may have waiting; unlimited where unset.",
    )
    gpu_hours: float | None = Field(
        default=None,
        ge=0,
        description="GPU hours that the trainings of one submitter may take within 30 days; "
        "unlimited where unset.",
    )
    max_priority: int = Field(
        default=0,
        ge=-LARGEST_PRIORITY,
        le=LARGEST_PRIORITY,
        description="Highest priority that a `submit` key may ask for; an `admin` key may ask "
        "for any.",
    )

    require_keys: bool | None = Field(
        default=None,
        description="Whether an API key is demanded; where unset, unless the host is loopback.",
    )
    requests_per_second: float | None = Field(
        default=None,
        gt=0,
        description="What one key or, without keys, one address may ask of one API process, "
        "four seconds' worth at once; unlimited where unset.",
    )
    max_request_bytes: int = Field(
        default=2**20, ge=1024, description="Largest body of a request; a larger one is refused."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="What is less important is not logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto",
        description="json: an object per line; text: for people; auto: text in a terminal.",
    )

    @field_validator("ray_address")
    @classmethod
    def _is_a_head(cls, address: str | None) -> str | None:
        """Return the head's own address, also for those of Ray's client and of its jobs.

        Neither would do as it is: under both, Ray would run Tune, and so the search, in the
        cluster, without the database and the scheduler that watches over it. They name the same
        head, whose own port is 6379 unless it was started with another.
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
        """Refuse one GPU and a half: a training has a share of one, or whole ones."""
        if gpus is not None and gpus > 1 and gpus != int(gpus):
            raise PydanticCustomError("gpus_per_trial", "above 1 it must be a whole number")
        return gpus

    @property
    def keys_required(self) -> bool:
        """Whether requests need an API key."""
        return not is_loopback(self.host) if self.require_keys is None else self.require_keys

    @property
    def limits(self) -> Limits:
        """What a submitter may have whose key has no limits of its own."""
        return Limits(max_queued_studies=self.max_queued_studies, gpu_hours=self.gpu_hours)

    @property
    def checkpoint_location(self) -> str:
        """Absolute path or address of the place where states of trainings are kept."""
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
        """SQLAlchemy URL of Optuna's storage: a second file, or a schema of its own."""
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
    """Tell whether a name or an address can only mean this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:  # another name
        return False


def _with_driver(url: str) -> str:
    """Name psycopg 3 in a PostgreSQL URL that names no driver."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if scheme.startswith("postgresql+psycopg") and separator:
        return url
    raise ValueError(
        f"HAMTUNE_DATABASE_URL begins with {scheme.partition(':')[0]!r}; it must be "
        "postgresql://user:password@host/database, or unset for SQLite in HAMTUNE_DATA_DIR"
    )
