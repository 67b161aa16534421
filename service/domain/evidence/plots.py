"""Plots of a study as SVG, drawn without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from ham.client.records import Estimate, ParetoFront, ParetoPoint, Purpose, Recommendation, Run
from ham.config import HamConfig, format_sparsity

_WIDTH, _HEIGHT, _MARGIN = 640, 400, 60


def gains_plot(recommendation: Recommendation, gain: Estimate) -> str:
    """Return a plot of the gain in test accuracy over the baseline, in points, by seed.

    It shows the mean gain as a line, and its 95 % interval as a band.
    """
    accuracies = {each.setting: each.test_accuracies for each in recommendation.evidence}
    baseline = accuracies.get(recommendation.control, {})
    treated = accuracies.get(recommendation.candidate, {})
    gains = [
        (float(index), 100 * (treated[seed] - baseline[seed]))
        for index, seed in enumerate(recommendation.seeds)
    ]
    low, high = 100 * gain.low, 100 * gain.high
    span = [value for _, value in gains] + [0.0, low, high]
    scale = _Scale((-0.5, len(gains) - 0.5), (min(span), max(span)))
    band = (
        f'<rect x="{_MARGIN}" width="{_WIDTH - 2 * _MARGIN}" y="{scale.y(high):.1f}" '
        f'height="{scale.y(low) - scale.y(high):.1f}" fill="#2a7" opacity="0.2"/>'
    )
    lines = "".join(
        f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{scale.y(value):.1f}" '
        f'y2="{scale.y(value):.1f}" stroke="{colour}"/>'
        for value, colour in ((0.0, "#888"), (100 * gain.mean, "#2a7"))
    )
    title = "Gain in test accuracy over the baseline by seed, points; mean with 95 % interval"
    return _svg(title, [band, lines, _dots(scale, gains, "#157")], scale, "seed", "points")


def pareto_front_plot(front: ParetoFront) -> str:
    """Return a plot of accuracy over the other objective, with 95 % intervals of test accuracy.

    A point without test accuracy is hollow, at its validation accuracy. A point whose gain over
    the baseline is shown is green.
    """
    other = front.objectives[-1]
    measured = [(point, point.measured(other)) for point in front.points]
    points = [(point, x) for point, x in measured if x is not None]
    spans = [_span(point) for point, _ in points]
    scale = _Scale(_range(x for _, x in points), _range(y for span in spans for y in span))
    parts = []
    for (point, x), (low, high) in zip(points, spans, strict=True):
        colour = "#2a7" if point.gain_shown else "#157"
        fill, at = "white", point.validation_accuracy
        if point.test_accuracy is not None:
            fill, at = colour, point.test_accuracy.mean
        across = f"{scale.x(x):.1f}"
        label = f"sparsity {format_sparsity(point.combination.sparsity)}, {_named(point.setting)}"
        parts.append(
            f"<g><title>{escape(label)}</title>"
            f'<path d="M{across} {scale.y(low):.1f}h-5h10h-5V{scale.y(high):.1f}h-5h10" '
            f'fill="none" stroke="{colour}" stroke-width="1.5"/>'
            f'<circle cx="{across}" cy="{scale.y(100 * at):.1f}" r="4" fill="{fill}" '
            f'stroke="{colour}"/></g>'
        )
    title = f"Pareto front: accuracy, percent, over {other.replace('_', ' ')}"
    return _svg(title, parts, scale, other.replace("_", " "), "percent")


def _span(point: ParetoPoint) -> tuple[float, float]:
    if point.test_accuracy is None:
        return 100 * point.validation_accuracy, 100 * point.validation_accuracy
    return 100 * point.test_accuracy.low, 100 * point.test_accuracy.high


def _named(ham_config: HamConfig) -> str:
    if ham_config.is_baseline:
        return "baseline"
    return f"alpha {ham_config.alpha:.3g}, beta {ham_config.beta:.3g}"


def search_plot(runs: Sequence[Run]) -> str:
    """Return a plot of the search's validation accuracies over log10 alpha; alpha > 0 alone."""
    points = [
        (math.log10(run.setting.alpha), 100 * run.validation_accuracy)
        for run in runs
        if run.purpose == Purpose.SEARCH
        and run.setting.alpha > 0
        and run.validation_accuracy is not None
        and math.isfinite(run.validation_accuracy)
    ]
    scale = _Scale(_range(x for x, _ in points), _range(y for _, y in points))
    title = "Search: validation accuracy, percent, over log10 alpha"
    return _svg(title, [_dots(scale, points, "#157")], scale, "log10 alpha", "percent")


class _Scale:
    """Maps values to coordinates of the picture."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        self.xs, self.ys = _widened(xs), _widened(ys)

    def x(self, value: float) -> float:
        low, high = self.xs
        return _MARGIN + (value - low) / (high - low) * (_WIDTH - 2 * _MARGIN)

    def y(self, value: float) -> float:
        low, high = self.ys
        return _HEIGHT - _MARGIN - (value - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)


def _range(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    return (min(found), max(found)) if found else (0.0, 1.0)


def _widened(span: tuple[float, float]) -> tuple[float, float]:
    margin = 0.05 * (span[1] - span[0]) or 0.5
    return span[0] - margin, span[1] + margin


def _dots(scale: _Scale, points: Sequence[tuple[float, float]], colour: str) -> str:
    return "".join(
        f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="4" fill="{colour}"/>'
        for x, y in points
    )


def _svg(title: str, parts: Sequence[str], scale: _Scale, across: str, up: str) -> str:
    left, bottom = _MARGIN, _HEIGHT - _MARGIN
    texts = (
        (_WIDTH / 2, 30, "middle", title),
        (_WIDTH / 2, _HEIGHT - 15, "middle", across),
        (left, bottom + 20, "middle", f"{scale.xs[0]:.3g}"),
        (_WIDTH - left, bottom + 20, "middle", f"{scale.xs[1]:.3g}"),
        (left - 6, bottom, "end", f"{scale.ys[0]:.3g}"),
        (left - 6, left, "end", f"{scale.ys[1]:.3g}"),
        (left - 6, _HEIGHT / 2, "end", up),
    )
    words = "".join(
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'
        for x, y, anchor, text in texts
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
        f'<path d="M{left} {left}V{bottom}H{_WIDTH - left}" fill="none" stroke="black"/>'
        f"{''.join(parts)}{words}</svg>\n"
    )
