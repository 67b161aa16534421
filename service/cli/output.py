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
    NOTHING,
    PARETO_INTERVALS,
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
"""Standard output; 120 columns wide where it is not a terminal."""

_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "red", "queued": "dim"}
_ROLES = {"tuned": "+ HAM, tuned", "paper": "+ HAM, paper", "no HAM": "baseline, without HAM"}


def print_json(value: object) -> None:
    """Write records and plain values to stdout as one JSON document."""
    print(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no JSON form")


def method(*combinations: Combination) -> str:
    """Write sparsifier and sparsity, or all of a study's sparsities: ``random 0.80,0.90``."""
    sparsities = ",".join(format_sparsity(combination.sparsity) for combination in combinations)
    shown = sparsities if combinations[-1].sparsity else ""
    return f"{combinations[0].sparsifier} {shown}".rstrip()


def recommendation_table(recommendations: Sequence[Recommendation]) -> Table:
    """Return recommended configurations as a table, by combination."""
    table = table_of("Recommended configurations")
    for name in ("model", "method"):
        table.add_column(name, overflow="fold")
    for name in ("alpha", "beta", "acc. %", "gain", "95 % interval", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("grade", no_wrap=True)
    for found in sorted(recommendations, key=lambda found: found.combination.key):
        accuracy, gain = found.accuracy, found.gain
        table.add_row(
            found.combination.model,
            _with_joint(method(found.combination), found.setting),
            strength(found.setting.alpha),
            strength(found.setting.beta),
            f"{100 * accuracy.mean:.2f}" if accuracy else NOTHING,
            points(gain.mean) if gain else NOTHING,
            interval(gain) if gain else NOTHING,
            str(gain.n if gain else 0),
            Text(found.grade.value, "green" if found.grade == Grade.CONFIRMED else "yellow"),
        )
    return table


def leaderboard_table(board: Leaderboard) -> Table:
    """Return a leaderboard as a table."""
    table = table_of(board.benchmark.name)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("method", overflow="fold")
    for name in ("alpha", "beta", "acc. %", "95 % interval", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in board.rows:
        accuracy = entry.test_accuracy
        table.add_row(
            str(entry.rank),
            _method(entry, several_environments=len(board.environments) > 1),
            strength(entry.setting.alpha),
            strength(entry.setting.beta),
            f"{100 * accuracy.mean:.2f}",
            f"{100 * accuracy.low:.2f} to {100 * accuracy.high:.2f}",
            str(accuracy.n),
        )
    return table


def _method(entry: LeaderboardEntry, several_environments: bool) -> str:
    name = f"{entry.sparsifier} {_ROLES.get(entry.role, entry.role)}{_trainings(entry.trainings)}"
    name = _with_joint(name, entry.setting)
    return f"{name} ({'; '.join(entry.environments)})" if several_environments else name


def _with_joint(name: str, ham_config: HamConfig) -> str:
    return f"{name} ({joint})" if (joint := joint_notes(ham_config)) else name


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
    """Return an empty table without outer edges and padding."""
    return Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        padding=0,
        show_edge=False,
    )


def state_text(study: StudyView) -> Text:
    """Return a study's state in the colour of the state; while it runs, its stage."""
    return Text(stage(study.state, study.progress), _COLOURS.get(study.state.value, "cyan"))


def print_recommendation(console: Console, found: Recommendation) -> None:
    """Write one recommendation: the configuration, its evidence, how to use it."""
    console.print(recommendation_table([found]))
    console.print(f"\n{found.message}", markup=False, highlight=False)
    for sentence in optimum_sentences(found.optimum) if found.optimum else ():
        console.print(sentence, markup=False, highlight=False)
    for warning in found.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)
    _print_use(console, found.setting, found.train_with)


def pareto_front_table(front: ParetoFront) -> Table:
    """Return a Pareto front as a table, with a column for its second objective."""
    second = front.objectives[-1]
    table = table_of("Pareto front")
    table.add_column("method", overflow="fold")
    for name in ("alpha", "beta", "realised"):
        table.add_column(name, justify="right", no_wrap=True)
    if second != "sparsity":
        table.add_column(second.replace("_", " "), justify="right", no_wrap=True)
    for name in ("acc. %", "95 % interval", "gain", "interval*", "seeds"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in front.points:
        test, gain = point.test_accuracy, point.gain
        table.add_row(
            method(point.combination),
            strength(point.setting.alpha),
            strength(point.setting.beta),
            percent(point.realised_sparsity),
            *([amount(point.measured(second))] if second != "sparsity" else []),
            f"{100 * test.mean:.2f}" if test else NOTHING,
            f"{100 * test.low:.2f} to {100 * test.high:.2f}" if test else NOTHING,
            Text(points(gain.mean if gain else None), "green" if point.gain_shown else "yellow"),
            interval(gain) if gain else NOTHING,
            str(len(point.seeds)),
        )
    return table


def print_pareto_front(console: Console, front: ParetoFront) -> None:
    """Write a Pareto front and its message."""
    console.print(pareto_front_table(front))
    for line in (front.message, f"* {PARETO_INTERVALS}"):
        console.print(line, markup=False, highlight=False)


def print_plan(console: Console, plan: PlanView) -> None:
    """Write the trainings, the search space and the estimated cost of a study."""
    cost = plan.estimate
    lines = [
        f"{plan.slug}: at most {plan.expected_runs} trainings, "
        f"{plan.expected_epochs} epochs in total",
        f"search space {plan.space.id}, sampler {plan.sampler}, early stopping "
        f"{plan.early_stopping}",
        *(
            f"{name.replace('_', ' ')} {searched_range(axis)} times the recipe's, searched with "
            f"HAM and for the baseline in {plan.budget.trials} trials each"
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


def print_transferred(console: Console, found: TransferredRecommendation) -> None:
    """Write a configuration that is transferred from similar combinations."""
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("similar combination", "distance", "grade", "alpha", "beta"):
        table.add_column(title)
    for neighbour in found.neighbours:
        table.add_row(
            neighbour.combination.slug,
            f"{neighbour.distance:.2f}",
            neighbour.grade,
            strength(neighbour.setting.alpha),
            strength(neighbour.setting.beta),
        )
    console.print(table)
    console.print(found.message, style="yellow", markup=False, highlight=False)
    others = [f"({other.alpha:.3g}, {other.beta:.3g})" for other in found.portfolio[1:]]
    if others:
        console.print(f"also worth a try: {', '.join(others)}", markup=False, highlight=False)
    _print_use(console, found.setting)


def print_paper(console: Console, found: PaperRecommendation) -> None:
    """Write the paper's default for a combination that is not tuned."""
    console.print(found.message, style="yellow", markup=False, highlight=False)
    _print_use(console, found.setting)


def _print_use(console: Console, ham_config: HamConfig, train_with: Sequence[str] = ()) -> None:
    use = "train with the base optimizer alone"
    if not ham_config.is_baseline:  # every digit: the gain was measured at these very values
        use = f"optimizer = ham.HAM(base, alpha={ham_config.alpha!r}, beta={ham_config.beta!r})"
    use = f"{use}, with {', '.join(train_with)}" if train_with else use
    console.print(f"use: {use}", markup=False, highlight=False)
