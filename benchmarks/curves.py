"""Step curves on two logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 760, 460, 70, 45, 190, 50
_COLOURS = ("#1b6", "#16c", "#c31", "#a60", "#808", "#777")

Curve = Sequence[tuple[float, float]]


def draw(title: str, across: str, up: str, curves: Mapping[str, Curve]) -> str:
    """Return a picture of named curves; each value holds until the next one.

    Args:
        title: of the picture.
        across, up: labels of the axes.
        curves: by name, points with ascending x; all numbers > 0.
    """
    points = [point for curve in curves.values() for point in curve]
    xs, ys = _decades([x for x, _ in points]), _decades([y for _, y in points])
    parts = [_grid(xs, ys), _text(_WIDTH / 2, 25, title), _text(_WIDTH / 2, _HEIGHT - 12, across)]
    parts.append(_text(_LEFT - 8, _TOP - 10, up, "start"))
    for number, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(_steps(curve, xs, ys, colour))
        y = _TOP + 20 * (number + 1)
        parts.append(
            f'<path d="M{_WIDTH - _RIGHT + 15} {y - 4}h20" stroke="{colour}" stroke-width="3"/>'
        )
        parts.append(_text(_WIDTH - _RIGHT + 40, y, name, "start"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _x(value: float, span: tuple[int, int]) -> float:
    share = (math.log10(value) - span[0]) / (span[1] - span[0])
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, span: tuple[int, int]) -> float:
    share = (math.log10(value) - span[0]) / (span[1] - span[0])
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _grid(xs: tuple[int, int], ys: tuple[int, int]) -> str:
    lines = []
    for power in range(xs[0], xs[1] + 1):
        x = _x(10.0**power, xs)
        lines.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#ddd"/>')
        lines.append(_text(x, _HEIGHT - _BOTTOM + 17, f"{10.0**power:g}"))
    for power in range(ys[0], ys[1] + 1):
        y = _y(10.0**power, ys)
        lines.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        lines.append(_text(_LEFT - 6, y + 4, f"{10.0**power:g}", "end"))
    return "".join(lines)


def _steps(curve: Curve, xs: tuple[int, int], ys: tuple[int, int], colour: str) -> str:
    (first_x, first_y), *rest = curve
    path = f"M{_x(first_x, xs):.1f} {_y(first_y, ys):.1f}"
    path += "".join(f"H{_x(x, xs):.1f}V{_y(y, ys):.1f}" for x, y in rest)
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(words)}</text>'
