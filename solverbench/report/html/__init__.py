"""One HTML file of a run: figures to explore, tables to sort, sheets, and what each solver is. It loads nothing.

    html.write_html("reports/cifar10/2026-01-01-baseline", "report.html")

The charts are drawn by a script of our own rather than by plotly, which would add 4.7 MB to every report and whose
points keyboards and screen readers cannot reach. A policy in the page (CSP) lets its own script and style run, by their
hashes, and nothing else: no request can leave it, and a name that is markup could not act even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from solverbench.report.excerpt import excerpt
from solverbench.report.html.charts import chart_data
from solverbench.report.html.pictures import pictures_of
from solverbench.report.html.subjects import subjects_of
from solverbench.report.layout import marked
from solverbench.report.records import load
from solverbench.report.tables import best_table, tables

if TYPE_CHECKING:
    from solverbench.report.layout import Table
    from solverbench.report.records import Run


def write_html(run_folder: str | Path | Run, target: str | Path) -> Path:
    """Render a run folder into the file `target`, also one that is not complete. Raises UsageError if it is no run."""
    run = excerpt(load(run_folder))
    script, style = _part("page.js"), _part("page.css")
    environment = Environment(
        loader=PackageLoader("solverbench.report", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made, found = tables(run), subjects_of(run)
    page = environment.get_template("page.html.j2").render(
        run=run,
        script=Markup(script),
        style=Markup(style),
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        data=embedded(chart_data(run)),
        best=[best_table(run, problem) for problem, _ in run.problems],
        tables={p: [t for t in made if t.title.startswith(f"{p}:")] for p, _ in run.problems},
        sheets=pictures_of(run),
        subjects=found,
        facts=facts(run.manifest),
        rows=rows,
        families=_by_name(run, "family"),
        anchors=_by_name(run, "solver", {subject.name: subject.anchor for subject in found}),
    )
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page, encoding="utf-8")
    return target


def embedded(data: Any) -> Markup:
    """JSON for a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def facts(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """The manifest as pairs of words: nested entries by their path, lists joined; problems have their own section."""
    found: list[tuple[str, str]] = []
    for key, value in manifest.items():
        if isinstance(value, dict):
            found += [(f"{key}: {name}", text) for name, text in facts(value)]
        elif key not in ("problems", "left_out"):
            found.append((key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return found


def rows(table: Table) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Of each row its label, and its texts with whether they are bold."""
    marks = marked(table.bold, table.body)
    return [
        (str(label), [(str(text), bool(bold)) for text, bold in zip(texts, bolds, strict=True)])
        for label, texts, bolds in zip(table.body.index, table.body.to_numpy(), marks, strict=True)
    ]


def _by_name(run: Run, column: str, words: dict[str, str] | None = None) -> dict[str, str]:
    """What a column, or a word for it, is for the label and for the solver of each record."""
    values = [str(value) for value in run.records[column]]
    values = values if words is None else [words[value] for value in values]
    return {str(name): v for key in ("solver", "label") for name, v in zip(run.records[key], values, strict=True)}


def _part(name: str) -> str:
    return resources.files("solverbench.report.html").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
