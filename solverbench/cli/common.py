"""What several verbs share: printing tables and reading names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import click

Kind: TypeAlias = Literal["solver", "adaptive", "path", "grid", "field", "suite"]


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


def called(name: str) -> list[tuple[Kind, str]]:
    """What a name stands for: a solver or those of a file, a path and a grid (edm and ve are both), a field or a suite.

    Raises UsageError with the nearest names.
    """
    from solverbench import pretrained
    from solverbench.adaptive import ADAPTIVE
    from solverbench.errors import UsageError, nearest
    from solverbench.grids import GRIDS
    from solverbench.methods.registry import solvers
    from solverbench.methods.user import is_file
    from solverbench.paths import PATHS
    from solverbench.run import suite

    if is_file(name) or name.split("[")[0] in solvers():
        return [("solver", resolved) for resolved in resolve_solver(name)]
    if name.split("[")[0] in ADAPTIVE:
        return [("adaptive", name)]
    others: dict[Kind, list[str]] = {
        "path": [*PATHS], "grid": [*GRIDS], "field": pretrained.names(), "suite": suite.names()
    }  # fmt: skip
    found = [(kind, name) for kind, names in others.items() if name in names]
    if not found:
        raise UsageError(f"nothing is called {name!r}{nearest(name, {*solvers(), *ADAPTIVE}.union(*others.values()))}")
    return found


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
