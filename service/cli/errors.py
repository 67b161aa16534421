"""Exit codes, and how errors that a user can mend are told: in one sentence, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError
from rich.console import Console

from ham.client.errors import RequestRefused, ServiceNotRunning
from ham.errors import HamError
from service.errors import ServiceError, Unavailable

FAILED = 1
USAGE = 2
NOT_RUNNING = 3
NOT_FOUND = 4
PORT_TAKEN = 5
INTERRUPTED = 130


class PortTaken(ValueError):
    """Something listens there already."""


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn errors that a user can mend into a sentence on stderr and an exit code."""
    try:
        yield
    except ServiceNotRunning as error:
        fail(str(error), NOT_RUNNING)
    except RequestRefused as error:
        fail(str(error), {404: NOT_FOUND, 422: USAGE}.get(error.status, FAILED))
    except ValidationError as error:
        fail("; ".join(_sentence(row["loc"], row) for row in error.errors()), USAGE)
    except ServiceError as error:
        fail(str(error), NOT_RUNNING if isinstance(error, Unavailable) else FAILED)
    except PortTaken as error:
        fail(str(error), PORT_TAKEN)
    except (HamError, ValueError, OSError) as error:
        fail(str(error), USAGE)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def fail(message: str, code: int) -> None:
    """Write an error to stderr and leave with its exit code."""
    console = Console(stderr=True, soft_wrap=True)
    console.print("[bold red]error:[/] ", end="")
    console.print(message, markup=False, highlight=False)
    sys.stderr.flush()
    raise typer.Exit(code)


def _sentence(place: tuple[int | str, ...], row: object) -> str:
    assert isinstance(row, dict)
    return f"{'.'.join(map(str, place))}={row['input']!r} is not allowed; {row['msg']}"
