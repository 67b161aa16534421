"""Exit codes of the commands, and errors as one sentence without a traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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

_NO_OPTIONS: Mapping[str, str] = {}


class PortTaken(ValueError):
    """Another program listens on the port."""


@contextmanager
def report_errors(options: Mapping[str, str] = _NO_OPTIONS) -> Iterator[None]:
    """Write errors that a user can correct to stderr, and leave with an exit code.

    Args:
        options: option by the field that it sets, such as ``budget.trials``; a refusal names the
            option instead of the field.
    """
    try:
        yield
    except ServiceNotRunning as error:
        fail(str(error), NOT_RUNNING)
    except RequestRefused as error:
        sentence = _naming_options(str(error), error.errors, options)
        fail(sentence, {404: NOT_FOUND, 422: USAGE}.get(error.status, FAILED))
    except ValidationError as error:
        fail("; ".join(_sentence(problem, options) for problem in error.errors()), USAGE)
    except ServiceError as error:
        fail(str(error), NOT_RUNNING if isinstance(error, Unavailable) else FAILED)
    except PortTaken as error:
        fail(str(error), PORT_TAKEN)
    except (HamError, ValueError, OSError) as error:
        fail(str(error), USAGE)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def fail(message: str, code: int) -> None:
    """Write an error to stderr and leave with an exit code."""
    console = Console(stderr=True, soft_wrap=True)
    console.print("[bold red]error:[/] ", end="")
    console.print(message, markup=False, highlight=False)
    sys.stderr.flush()
    raise typer.Exit(code)


def _sentence(problem: Any, options: Mapping[str, str]) -> str:
    """Write one error of pydantic: option, value and rule."""
    rule = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should", 1)
    field = _option(".".join(map(str, problem["loc"])), options)
    return f"{field}={problem['input']!r} is not allowed; {rule}"


def _naming_options(text: str, problems: list[dict[str, Any]], options: Mapping[str, str]) -> str:
    """Replace the fields that a refusal of the service names by their options."""
    for problem in problems:
        field = str(problem["field"])
        text = re.sub(rf"(^|; ){re.escape(field)}=", rf"\1{_option(field, options)}=", text)
    return text


def _option(field: str, options: Mapping[str, str]) -> str:
    """Return the option that sets a field, or one of its values such as ``tune.0``."""
    return options.get(re.sub(r"\.\d+$", "", field), field)
