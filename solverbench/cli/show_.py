"""`solverbench show NAME`: one thing explained."""

from __future__ import annotations

import json
from typing import Any

import click

from solverbench.errors import UsageError, nearest
from solverbench.methods.registry import Solver


@click.command("show")
@click.argument("name")
def command(name: str) -> None:
    """Explain a solver (a name, or a file of your own), path, grid, field or suite."""
    from solverbench import pretrained
    from solverbench.cli.common import resolve_solver
    from solverbench.grids import GRIDS
    from solverbench.methods.registry import solvers
    from solverbench.methods.user import is_file
    from solverbench.paths import PATHS
    from solverbench.run import suite

    known = list(solvers())
    if is_file(name) or name.split("[")[0] in known:
        for resolved in resolve_solver(name):
            click.echo(_solver(resolved))
    elif name in PATHS or name in GRIDS:  # edm and ve are both
        if name in PATHS:
            click.echo(f"path {name}\n\n{PATHS[name].__doc__}")
        if name in GRIDS:
            click.echo(_grid(name))
    elif name in pretrained.names():
        click.echo(json.dumps(pretrained.card(name), indent=1))
    elif name in suite.names():
        found = suite.load(name)
        click.echo(f"suite {name}: {found.title}\nbudgets: {', '.join(map(str, found.nfe))}")
        click.echo(f"solvers: {', '.join(found.solvers)}\nproblems:")
        for problem in found.problems:
            click.echo(f"  {problem}")
    else:
        known += [*PATHS, *GRIDS, *pretrained.names(), *suite.names()]
        raise UsageError(f"nothing is called {name!r}{nearest(name, known)}")


def _solver(spec: str) -> str:
    from solverbench.methods.registry import SOLVERS
    from solverbench.peers import aliases

    solver = SOLVERS[spec]
    facts = {
        "order": _order(solver),
        "evaluations": f"{solver.evaluations} per step",
        "integrates": solver.integrates,
        "noise": "draws noise" if solver.stochastic else "deterministic",
        "family": solver.family,
        "options": ", ".join(f"{k}={v}" for k, v in solver.options.items()) or "none",
        "special case": solver.reason,
        "reference": solver.reference,
        "same program": ", ".join(_same(spec)) or None,
        "elsewhere": "; ".join(aliases(str(solver))) or None,
    }
    return _explained(f"solver {solver}", solver.doc, facts)


def _grid(name: str) -> str:
    from solverbench.grids import GRIDS

    rule = GRIDS[name]
    fixed = ",".join(f"{k}={v}" for k, v in rule.fixed.items())
    at_the_data = {
        "jump": "jumps to it after t_min",
        "reach": "reaches it with t_min = 0, else jumps to it after t_min",
        "replace": "its last time is replaced by it",
    }
    facts = {
        "options": ", ".join(f"{k}={v}" for k, v in rule.options.items()) or "none",
        "at the data": at_the_data[rule.end],
        "special case": f"of {rule.of}[{fixed}]" if fixed else rule.of and f"of {rule.of}",
        "reference": rule.reference,
    }
    return _explained(f"grid {name}", rule.doc, facts)


def _explained(title: str, doc: str, facts: dict[str, Any]) -> str:
    lines = [f"{label + ':':14}{text}" for label, text in facts.items() if text]
    return "\n".join([title, "", doc, "", *lines, ""])


def _order(solver: Solver) -> str:
    if not solver.order:
        return "none claimed"
    if solver.attains is None:
        ours = solver.function.__module__.startswith("solverbench.methods.")  # whose orders our tests measure
        return f"{solver.order} (claimed{' and measured' if ours else ''})"
    attained, shortfall = solver.attains
    runs = f"a run attains {attained}" if attained else "a run does not converge"
    return f"{solver.order} (claimed); {runs}, because of its {shortfall}"


def _same(spec: str) -> list[str]:
    """Other registered solvers whose plan on the EDM grid is the same program, compared on the spot."""
    from solverbench.grids import grid
    from solverbench.methods.registry import SOLVERS
    from solverbench.paths import path

    edm = path("edm")
    steps = grid("edm", edm, 6)
    plan = SOLVERS[spec].plan(edm, steps)
    return [
        name
        for name, other in SOLVERS.items()
        if str(other) != str(SOLVERS[spec]) and other.plan(edm, steps).equivalent(plan)
    ]
