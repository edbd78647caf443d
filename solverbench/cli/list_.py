"""`solverbench list`: what there is."""

from __future__ import annotations

from typing import Any

import click

from solverbench.cli.common import json_option, print_rows

KINDS = ("solvers", "adaptive", "paths", "grids", "fields", "suites", "sizes")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), default="solvers")
@json_option
def command(kind: str, as_json: bool) -> None:
    """List solvers (default), adaptive solvers, paths, grids, fields or suites; or sizes, the code that solvers are."""
    print_rows(_ROWS[kind](), as_json, _COLUMNS.get(kind))


def _solvers() -> list[dict[str, Any]]:
    from solverbench.methods.registry import solvers
    from solverbench.peers import aliases

    return [
        {
            "solver": str(s),
            "order": s.order,
            "attains": s.attains[0] if s.attains else s.order,
            "shortfall": s.attains[1] if s.attains else None,
            **_counted(s),
            "integrates": s.integrates,
            "family": s.family,
            "options": ", ".join(f"{k}={v}" for k, v in s.options.items()),
            "reference": s.reference,
            "aliases": aliases(str(s)),
            "special case": s.reason,
            "description": s.doc.splitlines()[0] if s.doc else "",
        }
        for s in solvers().values()
    ]


def _adaptive() -> list[dict[str, Any]]:
    from solverbench.adaptive import adaptive_solvers

    return [
        {
            "solver": str(s),
            "order": s.order,
            "options": ", ".join(f"{k}={v}" for k, v in s.options.items()),
            "reference": s.reference,
            "description": s.reason,
        }
        for s in adaptive_solvers().values()
    ]


def _counted(solver: Any) -> dict[str, Any]:
    """What is counted on a plan; a solver of somebody else's that raises must not keep the others from being listed."""
    try:
        return {"evals": solver.evaluations, "noise": "yes" if solver.stochastic else ""}
    except Exception as error:
        click.echo(f"solver {solver} cannot be traced: {error}", err=True)
        return {"evals": None, "noise": None}


def _paths() -> list[dict[str, Any]]:
    from solverbench.paths import PATHS

    return [
        {"path": name, "t_min": cls().t_min, "t_max": cls().t_max, "description": (cls.__doc__ or "").splitlines()[0]}
        for name, cls in PATHS.items()
    ]


def _grids() -> list[dict[str, Any]]:
    from solverbench.grids import GRIDS

    rows = [
        {
            "grid": name,
            "options": ", ".join(f"{k}={v}" for k, v in rule.options.items()),
            "special case of": rule.of,
            "reference": rule.reference,
            "description": rule.doc.splitlines()[0],
        }
        for name, rule in GRIDS.items()
    ]
    return [*rows, {"grid": "explicit", "options": "times", "description": "The times themselves."}]


def _fields() -> list[dict[str, Any]]:
    from solverbench import pretrained

    return [{"field": name, "description": pretrained.card(name)["description"]} for name in pretrained.names()]


def _suites() -> list[dict[str, Any]]:
    from solverbench.run import suite

    return [{"suite": name, "title": suite.load(name).title} for name in suite.names()]


def _sizes() -> list[dict[str, Any]]:
    from solverbench.methods.size import sizes

    return sizes()


_ROWS = {
    "solvers": _solvers,
    "adaptive": _adaptive,
    "paths": _paths,
    "grids": _grids,
    "fields": _fields,
    "suites": _suites,
    "sizes": _sizes,
}
_COLUMNS = {
    "solvers": ("solver", "order", "attains", "evals", "noise", "integrates", "family", "options"),
    "adaptive": ("solver", "order", "description", "options"),
    "grids": ("grid", "options", "description"),
}
