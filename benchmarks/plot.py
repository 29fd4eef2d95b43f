"""A line chart as SVG: sizes from left to right on a logarithmic scale, values from zero up."""

import math
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 640
HEIGHT: Final = 320
LEFT, RIGHT, TOP, BOTTOM = 70, 45, 40, 90
GRID_LINES: Final = 4
COLOURS: Final = ("#1f6feb", "#d1242f", "#6e7781", "#1a7f37")


@dataclass(frozen=True, slots=True)
class Line:
    """A named line through points of a positive size and a value."""

    label: str
    points: list[tuple[float, float]]


def draw(title: str, axis: str, lines: list[Line]) -> str:
    """Give the chart as the text of an SVG file."""
    sizes = sorted({size for line in lines for size, _ in line.points})
    lowest, highest = math.log10(sizes[0]), math.log10(sizes[-1])
    top = _round_up(max(value for line in lines for _, value in line.points))

    def x(size: float) -> float:
        span = (math.log10(size) - lowest) / (highest - lowest) if highest > lowest else 0.5
        return LEFT + span * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"'
        ' font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for step in range(GRID_LINES + 1):
        value = top * step / GRID_LINES
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{size:,.0f}</text>' for size in sizes
    ]
    parts.append(
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - BOTTOM + 38}" text-anchor="middle">{escape(axis)}</text>'
    )
    for place, line in enumerate(lines):
        colour = COLOURS[place % len(COLOURS)]
        way = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in line.points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>' for size, value in line.points
        ]
        at = LEFT + place * 190
        parts.append(f'<rect x="{at}" y="{HEIGHT - 32}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{at + 18}" y="{HEIGHT - 22}">{escape(line.label)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _round_up(value: float) -> float:
    """The next number whose quarters are easy to read."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)
