"""The picture of a response surface: expected accuracy, tried configurations, best candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from fastapi import APIRouter, Request, Response

from ham.client.records import SurfaceGrid
from service.api.dependencies import RecommendationId, StorageDep
from service.formatting import strength
from service.web.templating import PICTURE_HEADERS, templates

router = APIRouter()

WIDTH, HEIGHT = 440, 330
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 46
_ZERO_BAND = 26
_COLOURS = ((0x2B, 0x2D, 0x5B), (0x1F, 0x6E, 0x8C), (0x3F, 0xB0, 0x8F), (0xF4, 0xE0, 0x7A))


@dataclass(frozen=True)
class Cell:
    """A rectangle of one colour; ``near`` marks a near-optimal one."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    near: bool


@dataclass(frozen=True)
class Mark:
    """A labelled point."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class SurfaceMap:
    """Everything in the picture; coordinates are in pixels.

    Attributes:
        low, high: lowest and highest expected accuracy, as fractions.
    """

    cells: list[Cell]
    tried: list[Mark]
    candidate: Mark
    alpha_ticks: list[Mark]
    beta_ticks: list[Mark]
    low: float
    high: float


class _Axis:
    """A logarithmic axis between two pixels, with a band of its own for the value 0."""

    def __init__(self, levels: tuple[float, ...], start: float, end: float) -> None:
        self._positive = [level for level in levels if level > 0]
        band = math.copysign(_ZERO_BAND, end - start) if levels[0] == 0 else 0.0
        self._zero = start + band / 2
        self._start, self._end = start + band * 1.3, end
        self._low, self._high = self._positive[0], self._positive[-1]

    def coordinate(self, value: float) -> float:
        if value == 0:
            return self._zero
        inside = min(max(value, self._low), self._high)
        share = math.log(inside / self._low) / math.log(self._high / self._low)
        return round(self._start + share * (self._end - self._start), 1)

    def spans(self, levels: tuple[float, ...]) -> list[tuple[float, float]]:
        """Return the two ends of the cell of each level."""
        coordinates = [self.coordinate(level) for level in self._positive]
        between = [(one + other) / 2 for one, other in pairwise(coordinates)]
        edges = [self._start, *between, self._end]
        spans = [(min(pair), max(pair)) for pair in pairwise(edges)]
        if levels[0] == 0:
            half = _ZERO_BAND / 2
            spans.insert(0, (self._zero - half, self._zero + half))
        return spans

    def ticks(self) -> list[float]:
        decades = range(math.ceil(math.log10(self._low)), math.floor(math.log10(self._high)) + 1)
        return [10.0**decade for decade in decades]


@router.get("/recommendations/{recommendation_id}/surface.svg")
def show_surface(
    request: Request, recommendation_id: RecommendationId, storage: StorageDep
) -> Response:
    """Draw the response surface behind a recommendation. Raises NotFound."""
    drawn = surface_map(storage.recommendations.surface(recommendation_id))
    return templates.TemplateResponse(
        request,
        "surface.svg",
        {"map": drawn, "width": WIDTH, "height": HEIGHT},
        headers=PICTURE_HEADERS,
        media_type="image/svg+xml",
    )


def surface_map(grid: SurfaceGrid) -> SurfaceMap:
    """Return the picture of a surface: alpha grows to the right, beta upwards."""
    across = _Axis(grid.alphas, LEFT, WIDTH - RIGHT)
    upwards = _Axis(grid.betas, HEIGHT - BOTTOM, TOP)
    values = [value for across_betas in grid.mean for value in across_betas]
    low, high = min(values), max(values)
    cells = [
        Cell(
            x=round(x0, 1),
            y=round(y0, 1),
            width=round(x1 - x0 + 0.4, 1),  # neighbours overlap a little, so that no seam shows
            height=round(y1 - y0 + 0.4, 1),
            colour=_colour((value - low) / (high - low) if high > low else 0.5),
            near=value >= grid.near_optimal,
        )
        for (x0, x1), means in zip(across.spans(grid.alphas), grid.mean, strict=True)
        for (y0, y1), value in zip(upwards.spans(grid.betas), means, strict=True)
    ]

    def mark(alpha: float, beta: float, label: str) -> Mark:
        return Mark(across.coordinate(alpha), upwards.coordinate(beta), label)

    zero_x = [0.0] if grid.alphas[0] == 0 else []
    zero_y = [0.0] if grid.betas[0] == 0 else []
    return SurfaceMap(
        cells=cells,
        tried=[
            mark(found.setting.alpha, found.setting.beta, f"{found.runs} runs")
            for found in grid.tried
        ],
        candidate=mark(grid.candidate.alpha, grid.candidate.beta, "best found"),
        alpha_ticks=[
            Mark(across.coordinate(value), HEIGHT - BOTTOM + 17, strength(value))
            for value in [*zero_x, *across.ticks()]
        ],
        beta_ticks=[
            Mark(LEFT - 8, upwards.coordinate(value) + 4, strength(value))
            for value in [*zero_y, *upwards.ticks()]
        ],
        low=low,
        high=high,
    )


def _colour(share: float) -> str:
    """Return a colour between dark (share 0) and light (share 1), as ``#rrggbb``."""
    position = share * (len(_COLOURS) - 1)
    lower = min(int(position), len(_COLOURS) - 2)
    part = position - lower
    mixed = (
        round(a + part * (b - a))
        for a, b in zip(_COLOURS[lower], _COLOURS[lower + 1], strict=True)
    )
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
