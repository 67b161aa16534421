"""Numbers and sentences for people: for the web pages and the terminal."""

from __future__ import annotations

from ham.client.records import (
    AxisOptimum,
    EarlyStoppingReport,
    Estimate,
    Optimum,
    Progress,
    ScheduleOptimum,
    StudyState,
)
from ham.config import HamConfig
from search_spaces import LogRange

NOTHING = "–"
PARETO_INTERVALS = (
    "The intervals of all gains of a Pareto front hold together in 95 % of the cases; the "
    "interval of an accuracy holds by itself in 95 %."
)
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def percent(fraction: float | None) -> str:
    """Write a fraction as a percentage: 0.9512 is ``95.12 %``."""
    return NOTHING if fraction is None else f"{100 * fraction:.2f} %"


def points(fraction: float | None) -> str:
    """Write a difference of fractions in points, signed: 0.0211 is ``+2.11``."""
    return NOTHING if fraction is None else f"{100 * fraction:+.2f}"


def interval(estimate: Estimate) -> str:
    """Write the interval of a difference in points: ``+1.20 to +3.02``."""
    return f"{points(estimate.low)} to {points(estimate.high)}"


def strength(value: float) -> str:
    """Write an alpha or a beta with three significant digits."""
    return f"{value:.3g}"


def searched_range(axis: LogRange) -> str:
    """Write the values that a search tries on an axis: ``1 to 400, or 0``."""
    zero = ", or 0" if axis.zero_share else ""
    return f"{strength(axis.low)} to {strength(axis.high)}{zero}"


def joint_notes(ham_config: HamConfig) -> str:
    """Write the values beside alpha and beta that differ from the recipe: ``learning rate x2``."""
    return ", ".join(
        f"{name.removesuffix('_schedule')} {value} to 0"
        if name.endswith("_schedule")
        else f"{name.replace('_', ' ')} x{strength(value)}"
        for name, value in ham_config.joint.items()
    )


def count(number: int | None) -> str:
    """Write a whole number with commas between thousands: ``12,345``."""
    return NOTHING if number is None else f"{number:,}"


def amount(number: float | None) -> str:
    """Write a number with three digits and an SI prefix: 1234567 is ``1.23 M``."""
    if number is None:
        return NOTHING
    prefixes = iter(_PREFIXES)
    prefix = next(prefixes)
    while abs(number) >= 999.5:
        number, prefix = number / 1000, next(prefixes)
    return f"{number:.3g} {prefix}".rstrip()


def optimum_sentences(optimum: Optimum) -> list[str]:
    """Describe the near-optimal region, the importance of each parameter and the confidence."""
    alpha, beta = optimum.alpha, optimum.beta
    joint = {"learning rate": optimum.learning_rate, "weight decay": optimum.weight_decay}
    tuned = {name: axis for name, axis in joint.items() if axis is not None}
    chosen = {"alpha": optimum.alpha_schedule, "beta": optimum.beta_schedule}
    schedules = {name: schedule for name, schedule in chosen.items() if schedule is not None}
    importances = {"beta": beta.importance}
    importances |= {name: axis.importance for name, axis in tuned.items()}
    importances |= {f"{name}'s schedule": own.importance for name, own in schedules.items()}
    shares = "".join(f"{name} alone {100 * share:.0f} %, " for name, share in importances.items())
    sentences = [
        f"alpha {_range(alpha)} and beta {_range(beta)} are within one standard error "
        f"({100 * optimum.standard_error:.2f} points of validation accuracy) of the best found.",
        f"Over the whole space alpha alone explains {100 * alpha.importance:.0f} % of the "
        f"differences, {shares}{'all' if tuned or schedules else 'both'} together "
        f"{100 * optimum.interaction:.0f} %.",
        f"Probability that no other configuration tried is better: "
        f"{100 * optimum.best_probability:.0f} % (by a surface fitted to {optimum.runs} runs).",
    ]
    if tuned:
        ranges = (f"{name} {_range(axis)}" for name, axis in tuned.items())
        sentences.insert(
            1, f"So are, with all else unchanged, {' and '.join(ranges)} times the recipe's."
        )
    around = {"alpha": alpha, "beta": beta, **tuned}
    local = [change for name, axis in around.items() for change in _local(name, axis)]
    local += [change for name, own in schedules.items() for change in _other(name, own)]
    if local:
        last = len(sentences) - 1
        sentences.insert(last, f"Expected change around the best, in points: {', '.join(local)}.")
    return sentences


def _range(axis: AxisOptimum) -> str:
    if axis.low == axis.high:
        return strength(axis.low)
    return f"{strength(axis.low)} to {strength(axis.high)}"


def _local(name: str, axis: AxisOptimum) -> list[str]:
    changes = (("half", axis.change_if_halved), ("twice", axis.change_if_doubled))
    return [f"{points(change)} at {of} {name}" for of, change in changes if change is not None]


def _other(name: str, schedule: ScheduleOptimum) -> list[str]:
    return [
        f"{points(change)} with {name} {'constant' if to == 'constant' else f'{to} to 0'}"
        for to, change in schedule.change.items()
    ]


def early_stopping_sentence(report: EarlyStoppingReport) -> str:
    """Say whether trials are stopped early, and how well early epochs predict the final one."""
    least = report.least_rank_correlation
    sentence = {
        "off": "Early stopping is off.",
        "waiting": f"Early stopping ({report.rule}) waits for enough trials at full length.",
        "on": f"Early stopping ({report.rule}) is on where the rank correlation with the final "
        f"accuracy is at least {least}. Trials stopped: {report.stopped}; epochs saved: "
        f"{report.epochs_saved}.",
        "switched off": f"Early stopping ({report.rule}) has switched itself off: the rank "
        f"correlation with the final accuracy is below {least}.",
    }[report.state]
    known = [
        f"{rung.rank_correlation:.2f} after epoch {rung.epoch} ({rung.finished} trials)"
        for rung in report.rungs
        if rung.rank_correlation is not None
    ]
    return f"{sentence} Rank correlation: {', '.join(known)}." if known else sentence


def duration(seconds: float | None) -> str:
    """Write a time span: ``45 s``, ``1 min 20 s``, ``31 min``, ``2 h 05 min``."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def stage(state: StudyState, progress: Progress) -> str:
    """Return the state of a study; while it runs, its stage."""
    if state != StudyState.RUNNING:
        return state.value
    for name in ("search", "screening", "confirmation"):
        part = getattr(progress, name)
        if part.done < part.planned:
            return name
    return "concluding"
