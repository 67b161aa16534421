"""How numbers are written for people: on the page, and in the terminal."""

from __future__ import annotations

from service.records import Estimate, Progress, StudyState

NOTHING = "–"
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


def count(number: int | None) -> str:
    """Write a whole number with its thousands apart."""
    return NOTHING if number is None else f"{number:,}"


def amount(number: float | None) -> str:
    """Write a large number with three digits and its SI prefix: 1234567 is ``1.23 M``."""
    if number is None:
        return NOTHING
    prefixes = iter(_PREFIXES)
    prefix = next(prefixes)
    while abs(number) >= 999.5:
        number, prefix = number / 1000, next(prefixes)
    return f"{number:.3g} {prefix}".rstrip()


def duration(seconds: float | None) -> str:
    """Write a time span as finely as matters: ``45 s``, ``1 min 20 s``, ``31 min``."""
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
    """Name what a study is doing: its state, or its stage while it runs."""
    if state != StudyState.RUNNING:
        return state.value
    for name in ("search", "screening", "confirmation"):
        part = getattr(progress, name)
        if part.done < part.planned:
            return name
    return "concluding"
