"""A table and its renderings: markdown for readers, plain text for terminals; and how numbers are written."""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray


LEAST = 1e-3
"""Of a value, a standard error that is worth saying."""


@dataclass(frozen=True)
class Table:
    """`body` is what is printed, `data` is the same and more in full precision."""

    name: str
    title: str
    body: pd.DataFrame
    data: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    text_columns: int = 1
    """Leading columns that are words: aligned to the left."""
    bold: pd.DataFrame | None = None
    """Marks cells of the body."""
    tied: pd.DataFrame | None = None
    """Marks those that are as good as the best of their column without being it."""
    precise: Callable[[], pd.DataFrame] | None = None
    """Makes what is printed in papers: orders claimed and measured, and columns in units of powers of ten."""

    def markdown(self) -> str:
        """GitHub pipes; the marked cells in bold."""
        rows = self._rows("**{}**", escape)
        aligned = self._align()
        table = tabulate(rows, [escape(c) for c in self._names()], "pipe", colalign=aligned, disable_numparse=True)
        notes = "".join(f"- {escape(note)}\n" for note in self.notes)
        return f"# {escape(self.title)}\n\n{table}\n\n{notes}"

    def text(self, width: int) -> str:
        """For a terminal of this width: columns are left out from the middle when they do not fit, and it says so."""
        names, rows = self._names(), self._rows("{}*", str)
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        kept = self._fitting(width, widths)
        lines = [self.title, ""]
        for row in (names, ["-" * w for w in widths], *rows):
            cells = [row[i].ljust(widths[i]) if i < self.text_columns else row[i].rjust(widths[i]) for i in kept]
            lines.append("  ".join(cells).rstrip())
        lines.append("")
        left_out = [name for i, name in enumerate(names) if i not in kept]
        said = [f"Not shown for want of width: {', '.join(left_out)}."] if left_out else []
        for note in [*said, *self.notes]:
            lines += textwrap.wrap(note.replace("Bold:", "*:"), max(width, 40), subsequent_indent="  ")
        return "\n".join(lines)

    def _names(self) -> list[str]:
        return [str(name) for name in self.body.columns]

    def _rows(self, mark: str, convert: Callable[[str], str]) -> list[list[str]]:
        return [
            [mark.format(convert(text)) if bold else convert(text) for text, bold in zip(texts, bolds, strict=True)]
            for texts, bolds in zip(self.body.to_numpy(), marked(self.bold, self.body), strict=True)
        ]

    def _align(self) -> list[str]:
        return ["left" if i < self.text_columns else "right" for i in range(self.body.shape[1])]

    def _fitting(self, width: int, widths: list[int]) -> list[int]:
        """Positions of the columns to show: words first, then the ends before the middle."""
        words, rest = list(range(self.text_columns)), list(range(self.text_columns, len(widths)))
        while len(rest) > 1 and sum(widths[i] + 2 for i in [*words, *rest]) - 2 > width:
            del rest[len(rest) // 2]
        return [*words, *rest]


def marked(marks: pd.DataFrame | None, body: pd.DataFrame) -> NDArray[np.bool_]:
    """Which cells of a body are marked; its columns may add a unit to the names of the marks' columns."""
    if marks is None:
        return np.zeros(body.shape, dtype=bool)
    names = [re.sub(r"(?<=\d) e-?\d+$", "", str(name)) for name in body.columns]
    return marks.reindex(index=body.index, columns=names, fill_value=False).to_numpy(dtype=bool)


def short(value: float) -> str:
    """Three significant digits: 0.0123, 1.20e-5, 123; '-' for what was not measured."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = f"{value:#.3g}".removesuffix(".")
    if value and "e" not in text and abs(value) < 1e-3:
        text = f"{value:.2e}"
    return re.sub(r"e([+-])0*(\d)", lambda m: f"e{m[1].replace('+', '')}{m[2]}", text)


def told(value: float, error: float, below: bool) -> str:
    """A value with its standard error, or "<" and the value where all that is known is that it is less."""
    return f"<{short(value)}" if below else uncertain(value, error)


def uncertain(value: float, error: float) -> str:
    """A value with its standard error in units of the last digit: 0.0214(3), 1.20(12)e-5; without, if there is none.

    The error has one digit, or two if it begins with 1; one below `LEAST` of the value is left out.
    """
    if not (math.isfinite(value) and math.isfinite(error) and error > max(0.0, LEAST * abs(value))):
        return short(value)
    exponent = math.floor(math.log10(abs(value))) if value else math.floor(math.log10(error))
    scaled = exponent < -3 or exponent > 2
    scale = 10.0**exponent if scaled else 1.0
    value, error = value / scale, error / scale
    place = -math.floor(math.log10(error)) + (f"{error:e}"[0] == "1")
    if place <= 0:
        text = f"{value:.0f}({round(error):d})"
    else:
        text = f"{value:.{place}f}({round(error * 10**place):d})"
    return f"{text}e{exponent}" if scaled else text


def escape(text: str) -> str:
    """Text that stands in a markdown table as it is: no emphasis, mathematics, markup, entity or link."""
    return re.sub(r"[\\|*_`<~$]|&(?=#?\w+;)|(?<=\])[(\[]", r"\\\g<0>", " ".join(str(text).split()))


def stem(name: str) -> str:
    """A file's name without its ending for anything that has a name; no longer than file systems take."""
    return re.sub(r"[^A-Za-z0-9+._=-]+", "-", name).strip("-")[:200]


def listed(names: list[str], most: int = 4) -> str:
    """'a, b, c' or 'a, b, c, d and 7 more'."""
    names = list(dict.fromkeys(names))
    more = len(names) - most
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:most])} and {more} more"
