"""Bars and curves as SVG: plain shapes and text, readable on light and on dark pages."""

from collections.abc import Mapping, Sequence
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
    return _picture(title, parts, y)


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw a line through the points of each name, on one scale that begins at zero."""
    points = [point for line in lines.values() for point in line]
    most_x = max((x for x, _ in points), default=0) or 1
    most_y = max((y for _, y in points), default=0) or 1
    left, top, width, height = 60, 44, WIDTH - 60 - VALUE, 240
    parts = [_text(8, 22, title, "t")]
    for share in (0.0, 0.5, 1.0):
        y = top + height * (1 - share)
        parts.append(f'<path d="M{left} {y:.1f}H{left + width}" stroke="#9ca3af" stroke-width="0.5"/>')
        parts += [_text(8, y + 4, f"{most_y * share:,.0f}")]
        parts += [_text(left + width * share, top + height + 20, f"{most_x * share:,.0f}")]
    for place, (name, line) in enumerate(lines.items()):
        way = " ".join(
            f"{left + x / most_x * width:.1f},{top + height * (1 - y / most_y):.1f}" for x, y in line
        )
        colour = COLOURS[place % len(COLOURS)]
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if line:
            end_y = top + height * (1 - line[-1][1] / most_y)
            parts.append(_text(left + width + 6, end_y + 4 + 14 * place, name))
    return _picture(title, parts, top + height + 34)


def _picture(title: str, parts: Sequence[str], height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", *parts, "</svg>", ""]
    )


def _text(x: float, y: float, content: str, kind: str = "") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{of_kind}>{escape(content)}</text>'
