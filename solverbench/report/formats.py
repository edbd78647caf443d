"""The forms a run's tables are written in, by name. A new form is a function of the two and a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solverbench.errors import UsageError
from solverbench.report.layout import stem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from solverbench.report.layout import Table
    from solverbench.report.records import Run

WHOLE = ("budget", "nfe", "steps", "n", "first", "last")
"""Columns that are whole numbers, where they are known."""


def markdown(run: Run, tables: list[Table], folder: str = "tables") -> list[Path]:
    """<folder>/<name>.md, as GitHub renders it."""
    return _each(run, tables, "md", lambda table: table.markdown(), folder)


def csv(run: Run, tables: list[Table], folder: str = "tables") -> list[Path]:
    """<folder>/<name>.csv: tidy, one cell a row, numbers that read back the same."""
    return _each(run, tables, "csv", lambda table: typed(table, run).to_csv(index=False, lineterminator="\n"), folder)


def latex(run: Run, tables: list[Table]) -> list[Path]:
    """tables/<name>.tex, to be read into a paper, and all of them in tables/all.tex, a document."""
    from solverbench.report.latex import document
    from solverbench.report.latex import latex as render

    paths = _each(run, tables, "tex", render)
    if paths:
        whole = run.folder / "tables" / "all.tex"
        whole.write_text(document(paths), encoding="utf-8")
        paths.append(whole)
    return paths


def html(run: Run, tables: list[Table]) -> list[Path]:
    """report.html, everything on one page that opens from disk."""
    from solverbench.report.html import write_html

    return [write_html(run, run.folder / "report.html")]


def parquet(run: Run, tables: list[Table]) -> list[Path]:
    """tables/<name>.parquet: the rows of the CSV with their types. Raises UsageError without pyarrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise UsageError("format 'parquet' needs pyarrow: pip install 'solverbench[parquet]'") from None
    paths = []
    for table in tables:
        path = _path(run, table, "parquet")
        typed(table, run).to_parquet(path, engine="pyarrow", index=False)
        paths.append(path)
    return paths


def typed(table: Table, run: Run) -> pd.DataFrame:
    """A table's data, each column in one type whatever it lacks; what titles say of a run is a column too."""
    data = table.data.assign(caveat=run.caveat) if run.caveat else table.data
    whole = {column: "Int64" for column in WHOLE if column in data}
    return data.astype(whole | dict.fromkeys(data.select_dtypes(["object", "string"]), "string"))


FORMATS: dict[str, Callable[[Run, list[Table]], list[Path]]] = {
    "md": markdown,
    "csv": csv,
    "latex": latex,
    "parquet": parquet,
    "html": html,
}


def _each(
    run: Run, tables: list[Table], suffix: str, render: Callable[[Table], str], folder: str = "tables"
) -> list[Path]:
    paths = [_path(run, table, suffix, folder) for table in tables]
    for path, table in zip(paths, tables, strict=True):
        path.write_text(render(table), encoding="utf-8")
    return paths


def _path(run: Run, table: Table, suffix: str, folder: str = "tables") -> Path:
    """The file of a table, whatever is in its name."""
    (run.folder / folder).mkdir(exist_ok=True)
    return run.folder / folder / f"{stem(table.name)}.{suffix}"
