"""``hamtune demo``: six small studies on real data, from request to leaderboard.

The requests carry idempotency keys: a demo reuses the studies of an earlier one.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer
from rich.console import Console

from ham.client.address import ADDRESS_FILE, ServiceAddress
from ham.client.client import Client
from ham.client.errors import ClientError
from ham.client.records import StudyRequest, StudyState, StudyView
from service.cli.errors import INTERRUPTED, PORT_TAKEN, report_errors
from service.cli.options import DataDir, settings_of
from service.cli.output import console, leaderboard_table, recommendation_table
from service.cli.scheduler_process import environment
from service.cli.watch import watch
from service.settings import Settings

MODELS = ("digits_cnn", "digits_mlp")
METHODS = (("dense", 0.0), ("random", 0.9), ("rigl", 0.9))
REQUESTS = tuple(
    StudyRequest(model=model, dataset="digits", sparsifier=sparsifier, sparsity=sparsity)
    for model in MODELS
    for sparsifier, sparsity in METHODS
)
_START_SECONDS = 120.0
_STOP_SECONDS = 40.0
_MAX_SUBMISSIONS = 100


def demo(
    exit: Annotated[
        bool, typer.Option("--exit", help="Stop the service after the results, for scripts.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Tune six small combinations on real data and show the results."""
    with report_errors():
        settings = settings_of(data_dir=data_dir)
        run_demo(settings, console, stay=not exit)


def run_demo(settings: Settings, console: Console, *, stay: bool) -> None:
    """Run the demo; the exit code is 1 if a study failed, 130 after Ctrl-C before the results.

    Args:
        settings: of the service that the demo starts, unless a service already answers on the
            same data folder.
        console: the console to write to.
        stay: True keeps the service up until Ctrl-C.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` stops it as Ctrl-C does
    reported = failed = False
    try:
        with running_service(settings, console) as (url, ours), Client(url) as client:
            studies = [submit_once(client, request) for request in REQUESTS]
            studies = watch(client, [study.id for study in studies], console)
            failed = report(client, studies, console)
            reported = True
            _show_addresses(url, console)
            if stay and ours is not None:
                console.print("The service stays up; press Ctrl-C to stop it.")
                ours.wait()
    except KeyboardInterrupt:
        console.print("Stopped. Run the demo again to go on from here: finished runs are kept.")
        if not reported:
            raise typer.Exit(INTERRUPTED) from None
    if failed:
        raise typer.Exit(1)


@contextmanager
def running_service(
    settings: Settings, console: Console
) -> Iterator[tuple[str, subprocess.Popen[bytes] | None]]:
    """Yield the address of a service on this data folder, and its process if it was started."""
    if (url := answering(settings)) is not None:
        console.print(f"using the service that already answers at {url}", highlight=False)
        yield url, None
        return
    with ExitStack() as stack:
        with console.status("starting the service"):
            while url is None:
                port = free_port(settings.host, settings.port)
                settings = settings.model_copy(update={"port": port})
                process = _start(settings)
                stack.callback(_stop, process, console)
                url = _wait_until_answering(settings, process)
        yield url, process


def answering(settings: Settings) -> str | None:
    """Return the address of the service that runs on this data folder, or None."""
    try:
        content = (settings.data_dir / ADDRESS_FILE).read_bytes()
        address = ServiceAddress.model_validate_json(content)
        with Client(address.url, timeout=5.0) as client:
            same = client.health().instance == address.instance
    except (OSError, ValueError, ClientError):
        return None
    return address.url if same else None


def free_port(host: str, first: int) -> int:
    """Return the first port from ``first`` on that nothing listens on."""
    for port in range(first, 65536):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise ValueError(f"no port of {host} from {first} on is free")


def submit_once(client: Client, request: StudyRequest) -> StudyView:
    """Submit a request, or return the study that an earlier demo submitted.

    The key holds the recipe's version and a digest of the request, so a changed recipe or budget
    gets a new study. So does a study that failed or was cancelled.
    """
    from service.domain.planning.plans import resolve  # lazy: it imports numpy and SQLAlchemy

    resolved = resolve(request)
    digest = hashlib.sha256(request.model_dump_json().encode()).hexdigest()[:8]
    for attempt in range(_MAX_SUBMISSIONS):
        key = f"demo/{resolved.combination.key}/{digest}/{attempt}"
        study = client.submit(request, key)
        if study.state not in (StudyState.FAILED, StudyState.CANCELLED):
            break
    return study


def report(client: Client, studies: list[StudyView], console: Console) -> bool:
    """Write the results; return True if a study failed."""
    failed = [study for study in studies if study.state != StudyState.SUCCEEDED]
    mine = {study.plan.combination.key for study in studies}
    found = [one for one in client.recommendations() if one.combination.key in mine]
    if found:
        console.print(recommendation_table(found))
        console.print(
            "Gain: points of test accuracy over the baseline, without HAM, paired by seed.\n",
            style="dim",
        )
    for board in client.leaderboards():
        console.print(leaderboard_table(board), "")
    for study in failed:
        console.print(f"failed: {study.plan.combination.slug}: {study.error}", style="red")
    return bool(failed)


def _show_addresses(url: str, console: Console) -> None:
    console.print(f"\nHome page         [bold]{url}/[/]", highlight=False)
    console.print(f"API               {url}/docs", highlight=False)
    console.print(f"Optuna dashboard  {url}/dashboard\n", highlight=False)


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    log = settings.data_dir / "logs" / "service.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve", "--die-with-parent"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **environment(settings)},
            start_new_session=True,  # Ctrl-C reaches the demo alone, which stops the service
        )


def _wait_until_answering(settings: Settings, process: subprocess.Popen[bytes]) -> str | None:
    """Return the service's address; None if another program took its port meanwhile.

    Raises:
        ValueError: the service ended, or did not answer within 120 s.
    """
    deadline = time.monotonic() + _START_SECONDS
    log = settings.data_dir / "logs" / "service.log"
    while time.monotonic() < deadline:
        if (url := answering(settings)) is not None:
            return url
        if process.poll() is not None:
            if process.returncode == PORT_TAKEN:
                return None
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise ValueError(f"the service did not start: {' '.join(last)} (the whole log: {log})")
        time.sleep(0.2)
    raise ValueError(f"the service did not answer within {_START_SECONDS:.0f} s; see {log}")


def _stop(process: subprocess.Popen[bytes], console: Console) -> None:
    if process.poll() is not None:
        return
    with console.status("stopping the service"):
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
