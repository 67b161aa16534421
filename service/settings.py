"""Settings of the service, read once from the environment (``HAMTUNE_*``)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
        description="A Ray cluster; a local one is started where unset.",
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
        description="GPUs of one training; where unset, 1 if the cluster has any, else 0.",
    )
    lease_seconds: float = Field(
        default=30.0,
        gt=0,
        description="A study whose scheduler is silent for so long is taken over.",
    )
    max_attempts: int = Field(
        default=5, ge=1, description="Runners that may be lost before a study is given up."
    )

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


def _with_driver(url: str) -> str:
    """Name psycopg 3 in a PostgreSQL URL that names no driver."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if scheme.startswith("postgresql+psycopg") and separator:
        return url
    raise ValueError(
        f"HAMTUNE_DATABASE_URL={url.split('@')[-1]!r} is not allowed; it must be "
        "postgresql://user:password@host/database, or unset for SQLite in HAMTUNE_DATA_DIR"
    )
