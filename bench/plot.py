"""Bars as SVG: plain shapes and text, readable on light and on dark pages."""

from collections.abc import Mapping
from html import escape

WIDTH, LABEL, VALUE = 760, 250, 90
BAR, GAP, GROUP = 16, 4, 34
COLOURS = ("#2563eb", "#f59e0b", "#9ca3af", "#10b981")
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2937}.t{font-weight:600;font-size:15px}"
    "@media(prefers-color-scheme:dark){text{fill:#e5e7eb}}"
)


def bars(title: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """Draw a group of horizontal bars for each name, each group on a scale of its own."""
    series = list(dict.fromkeys(name for group in groups.values() for name in group))
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(series)}
    parts, y = [_text(8, 22, title, "t")], 44
    for name, group in groups.items():
        parts.append(_text(8, y + 12, name, "t"))
        y += 22
        most = max(group.values(), default=0) or 1
        for label, value in group.items():
            width = max(1.0, value / most * (WIDTH - LABEL - VALUE))
            parts.append(_text(8, y + 13, label))
            parts.append(
                f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colours[label]}"/>'
            )
            parts.append(
                _text(LABEL + width + 6, y + 13, f"{value:,.0f}" if value >= 10 else f"{value:,.2f}")
            )
            y += BAR + GAP
        y += GROUP - BAR - GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", *parts, "</svg>", ""]
    )


def _text(x: float, y: float, content: str, kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{of_kind}>{escape(content)}</text>'
