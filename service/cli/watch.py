"""Shows studies while they run: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ham.client.client import Client
from ham.client.errors import ServiceNotRunning
from ham.client.records import ENDED, StudyState, StudyView
from service.cli.output import method, state_text, table_of
from service.formatting import duration, early_stopping_sentence, percent, stage

_POLL = 1.0
_PLAIN_EVERY = 20.0
_PATIENCE = 60.0


def watch(client: Client, ids: Sequence[str], console: Console) -> list[StudyView]:
    """Show studies until all have ended, and return them.

    Raises:
        ServiceNotRunning: the service has been away for a minute.
    """
    studies = _fetch(client, ids)
    notes = _Notes(client)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            return _follow(
                client,
                studies,
                lambda now: live.update(progress_table(now, notes.on(now)), refresh=True),
            )
    return _follow(client, studies, _PlainLines(console, notes).show)


def _follow(
    client: Client, studies: list[StudyView], show: Callable[[list[StudyView]], None]
) -> list[StudyView]:
    show(studies)
    while not all(study.state in ENDED for study in studies):
        time.sleep(_POLL)
        studies = _fetch(client, [study.id for study in studies])
        show(studies)
    return studies


def _fetch(client: Client, ids: Sequence[str]) -> list[StudyView]:
    """Ask for the studies; a service that is being restarted is waited for."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return [client.study(id) for id in ids]
        except ServiceNotRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)


class _Notes:
    """What is to be said of early stopping in the one study that is watched.

    It is asked again when the search has got further, since only that can change it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._done = 0
        self._said: str | None = None

    def on(self, studies: Sequence[StudyView]) -> str | None:
        if len(studies) > 1:
            return None
        [study] = studies
        if (done := study.progress.search.done) > self._done:
            with suppress(ServiceNotRunning):  # the studies are waited for
                self._said = early_stopping_sentence(self._client.early_stopping(study.id))
                self._done = done
        return self._said


def progress_table(studies: Sequence[StudyView], note: str | None = None) -> Table:
    """Return how far studies are, one per row."""
    table = table_of()
    table.caption, table.caption_justify = note, "left"
    for name in ("model", "method", "stage"):
        table.add_column(name, overflow="fold")
    table.add_column("progress", min_width=8, max_width=30)
    for name in ("trials", "best so far", "time left"):
        table.add_column(name, justify="right", no_wrap=True)
    for study in studies:
        progress, combination = study.progress, study.plan.combination
        table.add_row(
            combination.model,
            method(*study.plan.combinations),
            state_text(study),
            ProgressBar(total=progress.planned, completed=progress.done),
            f"{progress.search.done}/{progress.search.planned}",
            percent(progress.best_validation_accuracy),
            duration(progress.remaining_seconds),
        )
    return table


class _PlainLines:
    """Writes a line for a study when its stage changes, and every now and then."""

    def __init__(self, console: Console, notes: _Notes) -> None:
        self._console = console
        self._notes = notes
        self._noted: str | None = None
        self._shown: dict[str, tuple[str, float]] = {}

    def show(self, studies: Sequence[StudyView]) -> None:
        now = time.monotonic()
        for study in studies:
            name = stage(study.state, study.progress)
            last, at = self._shown.get(study.id, ("", 0.0))
            waiting = study.state == StudyState.QUEUED or study.state in ENDED
            if name == last and (waiting or now - at < _PLAIN_EVERY):
                continue
            self._shown[study.id] = (name, now)
            self._print(_line(study))
            note = self._notes.on(studies)
            if note and note != self._noted:
                self._noted = note
                self._print(note)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def _line(study: StudyView) -> str:
    progress, name = study.progress, method(*study.plan.combinations)
    head = f"{study.plan.combination.model} {name}: {stage(study.state, study.progress)}"
    if study.state == StudyState.QUEUED:
        return head
    line = (
        f"{head}, {progress.search.done}/{progress.search.planned} trials, "
        f"{progress.done}/{progress.planned} runs"
    )
    if not study.plan.is_multi_objective:  # where sparsities differ there is no best
        line += f", best so far {percent(progress.best_validation_accuracy)}"
    if progress.remaining_seconds is not None:
        line += f", {duration(progress.remaining_seconds)} left"
    return line
