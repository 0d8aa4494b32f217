"""A bar chart as SVG, in a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH, BAR, GAP, LABELS = 640, 26, 10, 150


def bar_chart(title: str, values: Mapping[str, float]) -> str:
    """One horizontal bar for each value, with its name and its number."""
    most = max(values.values())
    height = 40 + len(values) * (BAR + GAP)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            'font-family="sans-serif" font-size="13">'
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="22" font-size="15">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(values.items()):
        top = 36 + number * (BAR + GAP)
        length = value / most * (WIDTH - LABELS - 80)
        parts += [
            f'<text x="{LABELS - 8}" y="{top + 18}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LABELS}" y="{top}" width="{length:.0f}" height="{BAR}" fill="#4a7ebb"/>',
            f'<text x="{LABELS + length + 6:.0f}" y="{top + 18}">{value:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"
