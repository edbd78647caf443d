"""Tables for papers: LaTeX with booktabs, values with their standard errors, the best group in bold."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from solverbench.report.layout import marked
from solverbench.report.notes import ORDER

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from solverbench.report.layout import Table

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "*": r"\textasteriskcentered{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "[": "{[}", "]": "{]}",  # after \\ an option would begin
    "†": r"\textsuperscript{s}", "±": r"\(\pm\)", "≤": r"\(\le\)", "×": r"\(\times\)",
    "η": r"\(\eta\)", "λ": r"\(\lambda\)", "ρ": r"\(\rho\)", "σ": r"\(\sigma\)", "τ": r"\(\tau\)", "φ": r"\(\phi\)",
}  # fmt: skip
"""What stands for characters that LaTeX reads otherwise or lacks; † marks stochastic solvers, as it marks ties here."""
TIED = r"\textsuperscript{\dag}"
WIDE = 11
"""Columns; more stand closer together."""
ROWS = 50
"""The most of a part: with its notes it fits a page."""
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
"""What would be wider than the text is made smaller."""
MEASURED = "Claimed, measured: order of convergence, as published and as it was found for runs on smooth grids."
POWERS = "Columns are in units of the power of ten in their heading."
HEAD = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[paperwidth=7.75in, paperheight=14in, margin=0.5in]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
"""


def latex(table: Table) -> str:
    """Floating environments with caption, label and notes, for text 6.75 in wide; they need booktabs and graphicx.

    What is too long for a page is several, with the notes under the last.
    """
    body = table.body if table.precise is None else table.precise()
    words = sum(not _numeric(body[column]) for column in body) if table.precise is not None else table.text_columns
    bold, tied = (marked(marks, body) for marks in (table.bold, table.tied))
    rows = [
        " & ".join(_cell(*cell) for cell in zip(texts, bolds, ties, strict=True)) + r" \\"
        for texts, bolds, ties in zip(body.to_numpy(), bold, tied, strict=True)
    ]
    columns = "l" * words + "r" * (body.shape[1] - words)
    names = " & ".join(escape(str(n)) if i < words else _name(str(n)) for i, n in enumerate(body.columns))
    notes = [escape(note) for note in table.notes if table.precise is None or note != ORDER]
    if table.precise is not None:
        notes += [MEASURED, *([POWERS] if any(" e" in str(name) for name in body.columns) else [])]
    if tied.any():
        notes.append(rf"{TIED}: not separable from the best of its column.")
    parts = max(1, math.ceil(len(rows) / ROWS))
    label = re.sub(r"[^A-Za-z0-9-]+", "-", table.name)
    lines = [f"% {_comment(table.title)}; needs \\usepackage{{booktabs,graphicx}}"]
    for i in range(parts):
        lines += [
            r"\begin{table*}",
            rf"\centering\scriptsize\setlength{{\tabcolsep}}{{{2.5 if body.shape[1] <= WIDE else 1.4}pt}}",
            rf"\caption{{{escape(table.title)}{f', part {i + 1} of {parts}' if parts > 1 else ''}}}",
            rf"\label{{tab:{label}{f'-{i + 1}' if i else ''}}}",
            rf"{FITTED}{{\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            rf"{names} \\",
            r"\midrule",
            *rows[len(rows) * i // parts : len(rows) * (i + 1) // parts],
            r"\bottomrule",
            r"\end{tabular}}",
            *(["", r"\smallskip\raggedright", *(rf"{note}\par" for note in notes)] if i == parts - 1 else []),
            r"\end{table*}",
            "",
        ]
    return "\n".join(lines)


def document(tables: list[Path]) -> str:
    """A page that shows all tables, for a look at them."""
    return HEAD + "".join(f"\\input{{{path.name}}}\n\\clearpage\n" for path in tables) + "\\end{document}\n"


def escape(text: str) -> str:
    """Any text, to be printed as it is; letters beyond Latin that have no command are their code points."""
    return "".join(SPECIAL.get(c) or (c if c.isprintable() and ord(c) < 256 else _beyond(c)) for c in _line(text))


def _cell(text: str, bold: bool, tied: bool) -> str:
    text = text.replace(" †", "†")
    number = re.fullmatch(r"(-?[\d.]+(?:\(\d+\))?)(?:e(-?\d+))?", text)
    if number:
        power = f"e{number[2]}".replace("-", r"\(-\)") if number[2] else ""
        made = (rf"\(-\){number[1][1:]}" if text.startswith("-") else number[1]) + power
    else:
        made = "--" if text == "-" else escape(text)
    made = rf"\textbf{{{made}}}" if bold else made
    return made + TIED if tied else made


def _name(text: str) -> str:
    """A heading over numbers, its last word below the others; "10 e-2" is a budget and the unit of its column."""
    above, _, below = text.rpartition(" ")
    if not above:
        return escape(text)
    power = re.fullmatch(r"e(-?\d+)", below)
    under = rf"\(10^{{{power[1]}}}\)" if power and above.isdigit() else escape(below)
    return rf"\shortstack[r]{{{escape(above)}\\ {under}}}"


def _numeric(column: pd.Series) -> bool:
    return bool(column.astype(str).str.fullmatch(r"-|div|fail||-?[\d.]+(\(\d+\))?(e-?\d+)?").all())


def _beyond(character: str) -> str:
    return rf"\texttt{{U+{ord(character):04X}}}"


def _line(text: str) -> str:
    return " ".join(str(text).split())


def _comment(text: str) -> str:
    """One line, so that nothing escapes from the comment."""
    return _line("".join(c if c.isprintable() else " " for c in text))
