"""Progress of running studies: a live table on a terminal, else a line every 20 s at most."""

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

_POLL_SECONDS = 1.0
_SECONDS_BETWEEN_LINES = 20.0
_SECONDS_WITHOUT_SERVICE = 60.0


def watch(client: Client, ids: Sequence[str], console: Console) -> list[StudyView]:
    """Show studies until all have ended, and return them.

    Raises:
        ServiceNotRunning: no service has answered for 60 s.
    """
    studies = _fetch(client, ids)
    note = _EarlyStoppingNote(client)
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            return _follow(
                client,
                studies,
                lambda now: live.update(progress_table(now, note.of(now)), refresh=True),
            )
    return _follow(client, studies, _PlainLines(console, note).show)


def _follow(
    client: Client, studies: list[StudyView], show: Callable[[list[StudyView]], None]
) -> list[StudyView]:
    show(studies)
    while not all(study.state in ENDED for study in studies):
        time.sleep(_POLL_SECONDS)
        studies = _fetch(client, [study.id for study in studies])
        show(studies)
    return studies


def _fetch(client: Client, ids: Sequence[str]) -> list[StudyView]:
    """Return the studies; ask again for up to 60 s while no service answers."""
    deadline = time.monotonic() + _SECONDS_WITHOUT_SERVICE
    while True:
        try:
            return [client.study(id) for id in ids]
        except ServiceNotRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


class _EarlyStoppingNote:
    """A sentence on early stopping, where one study is watched.

    The service is asked again after each search trial: only a trial can change the answer.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._trials = 0
        self._sentence: str | None = None

    def of(self, studies: Sequence[StudyView]) -> str | None:
        if len(studies) > 1:
            return None
        [study] = studies
        if (trials := study.progress.search.done) > self._trials:
            with suppress(ServiceNotRunning):  # _fetch waits for the service
                self._sentence = early_stopping_sentence(self._client.early_stopping(study.id))
                self._trials = trials
        return self._sentence


def progress_table(studies: Sequence[StudyView], note: str | None = None) -> Table:
    """Return the progress of studies as a table; the note becomes its caption."""
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
    """Writes a line for a study when its stage changes, and every 20 s within a stage."""

    def __init__(self, console: Console, note: _EarlyStoppingNote) -> None:
        self._console = console
        self._note = note
        self._written: str | None = None
        self._shown: dict[str, tuple[str, float]] = {}

    def show(self, studies: Sequence[StudyView]) -> None:
        now = time.monotonic()
        for study in studies:
            name = stage(study.state, study.progress)
            last, at = self._shown.get(study.id, ("", 0.0))
            waiting = study.state == StudyState.QUEUED or study.state in ENDED
            if name == last and (waiting or now - at < _SECONDS_BETWEEN_LINES):
                continue
            self._shown[study.id] = (name, now)
            self._print(_line(study))
            sentence = self._note.of(studies)
            if sentence and sentence != self._written:
                self._written = sentence
                self._print(sentence)

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
    if not study.plan.is_multi_objective:  # accuracies at several sparsities do not compare
        line += f", best so far {percent(progress.best_validation_accuracy)}"
    if progress.remaining_seconds is not None:
        line += f", {duration(progress.remaining_seconds)} left"
    return line
