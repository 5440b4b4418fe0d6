"""Tables for people: as text in a terminal, as HTML in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Cells = Sequence[Sequence[str]]  # the header first
# Nothing has a colour of its own, so that dark pages can be read too.
CELL = "white-space:pre;padding:2px 8px"
TABLE = "color:inherit;font-variant-numeric:tabular-nums"


def text_table(cells: Cells, left: int = 1) -> list[str]:
    """Lines whose columns are aligned, the first `left` of them to the left."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


def html_table(cells: Cells, left: int = 1, shades: Sequence[Sequence[float]] = ()) -> str:
    """The same as an element, everything escaped.

    Args:
        cells: the header first.
        left: how many columns are aligned to the left.
        shades: behind the cells of each row but the header, those to the left left out, how much
            colour there is, from 0 to 1 (default: none).
    """

    def row(tag: str, line: Sequence[str], shade: Sequence[float] = ()) -> str:
        found = []
        for column, text in enumerate(line):
            align = "left" if column < left else "right"
            style = f"{CELL};text-align:{align}"
            if shade and column >= left:
                style += f";background:rgba(0,114,178,{0.6 * shade[column - left]:.2f})"
            found.append(f'<{tag} style="{style}">{escape(text)}</{tag}>')
        return f"<tr>{''.join(found)}</tr>"

    header, *body = cells
    rows = [row("td", line, shades[index] if shades else ()) for index, line in enumerate(body)]
    return (
        f'<table style="{TABLE}"><thead>{row("th", header)}</thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def html_lines(lines: Sequence[str], tag: str = "div") -> str:
    """Lines of text, one below the other, everything escaped."""
    return "".join(f'<{tag} style="white-space:pre-wrap">{escape(line)}</{tag}>' for line in lines)
