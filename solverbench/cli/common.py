"""What several verbs share: printing tables and reading names."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import click

if TYPE_CHECKING:
    from solverbench.grids import Grid

Kind: TypeAlias = Literal["solver", "adaptive", "path", "grid", "field", "suite"]


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions of click
    """Whole numbers separated by commas: 5,10,20."""

    name = "N[,N...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(map(int, value.split(",")))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers like 5,10,20", param, ctx)


class Amount(click.FloatRange):
    """Of seconds or GB: more than nothing, and not nan, which passes every comparison."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


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


def named_grid(spec: str) -> partial[Grid]:
    """(path, steps) -> the grid that `edm` or `edm[rho=5,t_min=0.01,zero=false]` means: a rule, and what `grid` takes.

    Raises UsageError for unknown rules and options, and what cannot be read or is none of their values.
    """
    from solverbench import specs
    from solverbench.errors import UsageError, nearest
    from solverbench.grids import grid
    from solverbench.grids.make import check_ends, named_rule

    name, text = specs.split(spec, "grid")
    if name == "explicit":
        raise UsageError("grid 'explicit' takes its times from Python, solverbench.grid([80, 5, 0], path); name a rule")
    rule = named_rule(name)
    known = {"t_max": math.nan, "t_min": math.nan, "zero": True, "denoise": True, **rule.options}
    options = specs.read(text, known, f"grid {name!r}")
    for key, value in options.items():
        if key not in known:
            raise UsageError(f"grid {name!r} has no option {key!r}{nearest(key, known)}")
        if key in rule.options:
            rule.check(key, value)
    check_ends(name, **{key: options[key] for key in ("t_min", "t_max") if key in options})
    return partial(grid, name, **options)


def called(name: str) -> list[tuple[Kind, str]]:
    """What a name stands for: a solver or those of a file, a path and a grid (edm and ve are both), a grid alone if it
    has options, a field or a suite, by name or by its .toml file.

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
    if "[" in name and name.split("[")[0] in GRIDS:
        named_grid(name)
        return [("grid", name)]
    if name.endswith(".toml"):
        return [("suite", name)]
    others: dict[Kind, list[str]] = {
        "path": [*PATHS], "grid": [*GRIDS], "field": pretrained.names(), "suite": suite.names()
    }  # fmt: skip
    found = [(kind, name) for kind, names in others.items() if name in names]
    if not found:
        known = {*solvers(), *ADAPTIVE}.union(*others.values())
        raise UsageError(f"nothing is called {name!r}{nearest(name, known, 'solverbench list')}")
    return found


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
