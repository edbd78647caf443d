"""What several verbs share: printing tables and reading names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions of click
    """Whole numbers separated by commas: 5,10,20."""

    name = "N[,N...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(",") if part.strip())
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers like 5,10,20", param, ctx)


def print_rows(rows: Iterable[Mapping[str, Any]], as_json: bool, columns: Sequence[str] | None = None) -> None:
    """Print records to stdout, as JSON or as a table of the given columns."""
    rows = [dict(row) for row in rows]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    from tabulate import tabulate

    shown = [{k: row.get(k) for k in columns} if columns else row for row in rows]
    click.echo(tabulate(shown, headers="keys", missingval="-", floatfmt=".4g"))


def resolve_solver(spec: str) -> list[str]:
    """The registered names a --solver value stands for: itself, or what a file registers.

    Raises PlanError for adaptive solvers, which no verb can run by steps or budget.
    """
    from solverbench.adaptive import ADAPTIVE
    from solverbench.methods.user import is_file, load_file

    if (found := ADAPTIVE.get(spec)) is not None:
        raise found.without_plan()
    return load_file(spec) if is_file(spec) else [spec]


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
