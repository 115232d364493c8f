"""Bars as SVG, written by hand: ours and each peer against the limit, readable on light and on dark pages.

Every bar has its name and its number as text, so nothing hangs on colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABEL, SPACE = 760, 190, 74
ROW, HEAD, TOP = 22, 34, 62
STYLE = """\
<style>
  text { font: 13px system-ui, sans-serif; fill: #1b1f24 }
  .title { font-size: 16px; font-weight: 600 } .head { font-weight: 600 } .unit, .limit { fill: #57606a }
  .ours { fill: #0b50d0 } .peer { fill: #9aa4b2 } .line { stroke: #57606a; stroke-dasharray: 3 3 }
  .back { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .unit, .limit { fill: #9da7b3 }
    .ours { fill: #6ea8fe } .peer { fill: #6e7681 } .line { stroke: #9da7b3 } .back { fill: #0d1117 }
  }
</style>"""


@dataclass(frozen=True)
class Bar:
    name: str
    value: float
    ours: bool = False


@dataclass(frozen=True)
class Group:
    heading: str
    bars: Sequence[Bar]


def bars(title: str, unit: str, groups: Sequence[Group], *, limit: str = "") -> str:
    """One picture. `limit` names the dashed line at 1.0, when the unit is a ratio to it."""
    longest = max([bar.value for group in groups for bar in group.bars] + ([1.0] if limit else []))
    scale = (WIDTH - LABEL - SPACE) / longest
    height = TOP + sum(HEAD + ROW * len(group.bars) for group in groups) + (24 if limit else 8)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        STYLE,
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="12" y="26">{escape(title)}</text>',
        f'<text class="unit" x="12" y="46">{escape(unit)}</text>',
    ]
    y = TOP
    for group in groups:
        parts.append(f'<text class="head" x="12" y="{y + 20}">{escape(group.heading)}</text>')
        y += HEAD
        for bar in group.bars:
            kind, length = "ours" if bar.ours else "peer", max(bar.value * scale, 1)
            parts += [
                f'<text x="{LABEL - 8}" y="{y + 14}" text-anchor="end">{escape(bar.name)}</text>',
                f'<rect class="{kind}" x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{ROW - 6}"/>',
                f'<text x="{LABEL + length + 6:.1f}" y="{y + 14}">{number(bar.value)}</text>',
            ]
            y += ROW
    if limit:
        x = LABEL + scale
        parts.append(f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{y + 4}"/>')
        parts.append(f'<text class="limit" x="{x:.1f}" y="{y + 18}" text-anchor="end">{escape(limit)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
