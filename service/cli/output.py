"""Tables for the terminal, and JSON for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ham.client.records import (
    Grade,
    Leaderboard,
    LeaderboardEntry,
    PaperRecommendation,
    ParetoFront,
    PlanView,
    Recommendation,
    StudyView,
    TransferredRecommendation,
)
from ham.config import Combination, HamConfig, format_sparsity
from service.formatting import (
    FRONT_INTERVALS,
    NOTHING,
    amount,
    duration,
    interval,
    joint_notes,
    optimum_sentences,
    percent,
    points,
    searched_range,
    stage,
    strength,
)

_WIDTH_OF_FILES = 120

console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
"""Standard output; in columns of 120 characters where it is not a terminal."""

_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "red", "queued": "dim"}
_ROLES = {"tuned": "+ HAM, tuned", "paper": "+ HAM, paper", "no HAM": "without HAM"}


def print_json(value: object) -> None:
    """Write one JSON document, of records and plain values, to stdout."""
    print(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def method(*combinations: Combination) -> str:
    """Write sparsifier and sparsity, or all of a study's sparsities: ``random 0.80,0.90``."""
    found = ",".join(format_sparsity(row.sparsity) for row in combinations)
    return f"{combinations[0].sparsifier} {found if combinations[-1].sparsity else ''}".rstrip()


def recommendation_table(rows: Sequence[Recommendation]) -> Table:
    """Return recommended settings as a table."""
    table = table_of("Recommended settings")
    for name in ("model", "method"):
        table.add_column(name, overflow="fold")
    for name in ("alpha", "beta", "acc. %", "gain", "95 % interval", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("grade", no_wrap=True)
    for row in sorted(rows, key=lambda row: row.combination.key):
        table.add_row(
            row.combination.model,
            _with_joint(method(row.combination), row.setting),
            strength(row.setting.alpha),
            strength(row.setting.beta),
            f"{100 * row.accuracy.mean:.2f}" if row.accuracy else NOTHING,
            points(row.gain.mean) if row.gain else NOTHING,
            interval(row.gain) if row.gain else NOTHING,
            str(row.gain.n if row.gain else 0),
            Text(row.grade.value, "green" if row.grade == Grade.CONFIRMED else "yellow"),
        )
    return table


def leaderboard_table(board: Leaderboard) -> Table:
    """Return a leaderboard as a table."""
    table = table_of(board.benchmark.name)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("method", overflow="fold")
    for name in ("alpha", "beta", "acc. %", "95 % interval", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in board.rows:
        accuracy = row.test_accuracy
        table.add_row(
            str(row.rank),
            _method(row, several_environments=len(board.environments) > 1),
            strength(row.setting.alpha),
            strength(row.setting.beta),
            f"{100 * accuracy.mean:.2f}",
            f"{100 * accuracy.low:.2f} to {100 * accuracy.high:.2f}",
            str(accuracy.n),
        )
    return table


def _method(row: LeaderboardEntry, several_environments: bool) -> str:
    name = f"{row.sparsifier} {_ROLES.get(row.role, row.role)}{_trainings(row.trainings)}"
    name = _with_joint(name, row.setting)
    return f"{name} ({'; '.join(row.environments)})" if several_environments else name


def _with_joint(name: str, setting: HamConfig) -> str:
    return f"{name} ({joint})" if (joint := joint_notes(setting)) else name


def _trainings(count: int | None) -> str:
    return f", {count} trainings" if (count or 1) > 1 else ""


def study_table(studies: Sequence[StudyView]) -> Table:
    """Return studies as a table."""
    table = table_of()
    table.add_column("id", no_wrap=True)
    for name in ("model", "method", "state"):
        table.add_column(name, overflow="fold")
    for name in ("trials", "best %"):
        table.add_column(name, justify="right", no_wrap=True)
    for study in studies:
        search = study.progress.search
        table.add_row(
            study.id,
            study.plan.combination.model,
            method(*study.plan.combinations),
            state_text(study),
            f"{search.done}/{search.planned}",
            percent(study.progress.best_validation_accuracy).removesuffix(" %"),
        )
    return table


def table_of(title: str | None = None) -> Table:
    """Return an empty table that wastes no width."""
    return Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        padding=0,
        show_edge=False,
    )


def state_text(study: StudyView) -> Text:
    """Return a study's state, or its stage while it runs, in its colour."""
    return Text(stage(study.state, study.progress), _COLOURS.get(study.state.value, "cyan"))


def print_recommendation(console: Console, row: Recommendation) -> None:
    """Write one recommendation: the setting, its evidence, how to use it."""
    console.print(recommendation_table([row]))
    console.print(f"\n{row.message}", markup=False, highlight=False)
    for sentence in optimum_sentences(row.optimum) if row.optimum else ():
        console.print(sentence, markup=False, highlight=False)
    for warning in row.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    _print_use(console, row.setting, row.train_with)


def pareto_front_table(front: ParetoFront) -> Table:
    """Return a Pareto front as a table, with the measure of its other objective."""
    other = front.objectives[-1]
    table = table_of("Pareto front")
    table.add_column("method", overflow="fold")
    for name in ("alpha", "beta", "realised"):
        table.add_column(name, justify="right", no_wrap=True)
    if other != "sparsity":
        table.add_column(other.replace("_", " "), justify="right", no_wrap=True)
    for name in ("acc. %", "95 % interval", "gain", "interval*", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in front.points:
        test, gain = point.test_accuracy, point.gain
        table.add_row(
            method(point.combination),
            strength(point.setting.alpha),
            strength(point.setting.beta),
            percent(point.realised_sparsity),
            *([amount(point.measured(other))] if other != "sparsity" else []),
            f"{100 * test.mean:.2f}" if test else NOTHING,
            f"{100 * test.low:.2f} to {100 * test.high:.2f}" if test else NOTHING,
            Text(points(gain.mean if gain else None), "green" if point.gain_shown else "yellow"),
            interval(gain) if gain else NOTHING,
            str(len(point.seeds)),
        )
    return table


def print_pareto_front(console: Console, front: ParetoFront) -> None:
    """Write a Pareto front and what it rests on."""
    console.print(pareto_front_table(front))
    for line in (front.message, f"* {FRONT_INTERVALS}"):
        console.print(line, markup=False, highlight=False)


def print_plan(console: Console, plan: PlanView) -> None:
    """Write what a study would train, and what that would take."""
    cost = plan.estimate
    lines = [
        f"{plan.slug}: {plan.expected_runs} trainings at most, "
        f"{plan.expected_epochs} epochs together",
        f"search space {plan.space.id}, sampler {plan.sampler}, early stopping "
        f"{plan.early_stopping}",
        *(
            f"{name.replace('_', ' ')} {searched_range(axis)} times the recipe's, searched with "
            f"HAM and without it in {plan.budget.trials} trials each"
            for name, axis in plan.space.axes(branch="baseline").items()
        ),
        *(
            f"{name.replace('_', ' ')}: {' or '.join(values)}"
            for name, values in plan.space.choices().items()
        ),
        f"wall time {duration(cost.wall_seconds)}, compute {duration(cost.compute_seconds)}"
        + (f", {cost.gpu_hours:.2g} GPU hours" if cost.gpu_hours else ""),
        cost.message,
    ]
    for line in lines:
        console.print(line, markup=False, highlight=False)


def print_transferred(console: Console, row: TransferredRecommendation) -> None:
    """Write what similar combinations say about one that nobody has tuned."""
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("similar combination", "distance", "grade", "alpha", "beta"):
        table.add_column(title)
    for near in row.neighbours:
        setting = near.setting
        table.add_row(
            near.combination.slug,
            f"{near.distance:.2f}",
            near.grade,
            strength(setting.alpha),
            strength(setting.beta),
        )
    console.print(table)
    console.print(row.message, style="yellow", markup=False, highlight=False)
    others = [f"({s.alpha:.3g}, {s.beta:.3g})" for s in row.portfolio[1:]]
    if others:
        console.print(f"worth a try as well: {', '.join(others)}", markup=False, highlight=False)
    _print_use(console, row.setting)


def print_paper(console: Console, row: PaperRecommendation) -> None:
    """Write the paper's default for a combination that nobody has tuned."""
    console.print(row.message, style="yellow", markup=False, highlight=False)
    _print_use(console, row.setting)


def _print_use(console: Console, setting: HamConfig, beside: Sequence[str] = ()) -> None:
    use = "train with the base optimizer alone"
    if not setting.is_baseline:  # every digit: it is the setting that was measured
        use = f"optimizer = ham.HAM(base, alpha={setting.alpha!r}, beta={setting.beta!r})"
    use = f"{use}, with {', '.join(beside)}" if beside else use
    console.print(f"use: {use}", markup=False, highlight=False)
