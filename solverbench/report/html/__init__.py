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
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from solverbench.report import duel
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

SCRIPTS = ("page", "tables", "choices", "chart", "ranking")
"""Parts of one script, in their order."""
TOGETHER = "All problems"
UNSEEN = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0], "\ufffd")
"""What would reverse the text beside a name without being seen."""


def write_html(run_folder: str | Path | Run, target: str | Path) -> Path:
    """Render a run folder into the file `target`, also one that is not complete. Raises UsageError if it is no run."""
    run = excerpt(load(run_folder))
    script, style = "".join(_part(f"{name}.js") for name in SCRIPTS), _part("page.css")
    environment = Environment(
        loader=PackageLoader("solverbench.report", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    subjects, best = subjects_of(run), [best_table(run, problem) for problem, _ in run.problems]
    known = {subject.name: subject for subject in subjects}
    of = {str(label): known[str(name)] for label, name in zip(run.records["label"], run.records["solver"], strict=True)}
    page = environment.get_template("page.html.j2").render(
        run=run,
        script=Markup(script),
        style=Markup(style),
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        data=embedded(chart_data(run, of)),
        best=best,
        duels=duel.tables(run, duel.duels(run, run.manifest.get("mine") or ())),
        tables=headed(run, [table for table in tables(run) if table.name not in {shown.name for shown in best}]),
        sheets=pictures_of(run),
        subjects=subjects,
        subjects_by_name=known | of,
        rows=rows,
        said=facts,
    )
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(page.translate(UNSEEN), encoding="utf-8", errors="replace")
    return target


def embedded(data: Any) -> Markup:
    """JSON for a script element: no text in it can end the element or begin a comment."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Markup(re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text))


def facts(given: dict[str, Any]) -> list[tuple[str, str]]:
    """Part of a manifest as pairs of words: nested entries by their path, lists joined, what is empty left out."""
    found: list[tuple[str, str]] = []
    for key, value in given.items():
        if isinstance(value, dict):
            found += [(f"{key}: {name}", text) for name, text in facts(value)]
        elif key not in ("problems", "left_out") and value not in (None, "", []):
            found.append((key, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return found


def headed(run: Run, made: list[Table]) -> dict[str, list[Table]]:
    """Tables under the problem that their titles begin with, or under `TOGETHER`."""
    found: dict[str, list[Table]] = {}
    for table in made:
        problem = next((name for name, _ in run.problems if table.title.startswith(f"{name}: ")), TOGETHER)
        found.setdefault(problem, []).append(table)
    return found


def rows(table: Table) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Of each row its label, and its texts with whether they are bold.

    Where problems share a table, a solver is named in each row, as rows may be sorted.
    """
    marks = marked(table.bold, table.body)
    found = []
    for label, texts, bolds in zip(table.body.index, table.body.to_numpy(), marks, strict=True):
        name = str(label[0] if isinstance(label, tuple) else label)
        found.append((name, [(str(text), bool(bold)) for text, bold in zip(texts, bolds, strict=True)]))
        if not texts[0]:
            found[-1][1][0] = name, False
    return found


def _part(name: str) -> str:
    return resources.files("solverbench.report.html").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
