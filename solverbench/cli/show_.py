"""`solverbench show NAME`: one thing explained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from solverbench.cli.common import called, named_grid
from solverbench.methods.registry import Solver

if TYPE_CHECKING:
    from solverbench.problems.base import ProblemSpec


@click.command("show")
@click.argument("name")
def command(name: str) -> None:
    """Explain a solver (a name, or a file of your own), path, grid, field or suite (a name, or a .toml file).

    Solvers and grids also with options: ddim[eta=0.5], edm[rho=5].
    """
    for kind, found in called(name):
        click.echo(_EXPLAINED[kind](found))


def _path(name: str) -> str:
    from solverbench.paths import PATHS

    return f"path {name}\n\n{PATHS[name].__doc__}"


def _field(name: str) -> str:
    from solverbench import pretrained

    return json.dumps(pretrained.card(name), indent=1)


def _suite(name: str) -> str:
    from solverbench.run import suite

    found = suite.load(name)
    lines = [
        f"suite {name}: {found.title}",
        f"budgets: {', '.join(map(str, found.nfe))}",
        f"solvers: {', '.join(found.solvers)}",
        "problems:",
        *map(_problem, found.problems),
    ]
    return "\n".join(lines)


def _problem(spec: ProblemSpec) -> str:
    """As its suite states it: what is as it usually is goes without saying."""
    from solverbench.problems.base import ProblemSpec

    usual = {**vars(ProblemSpec("", "", "law", grid="")), "kind": None, "grid_options": None}
    told = {key: value for key, value in vars(spec).items() if value != usual[key]}
    options = ",".join(f"{key}={value}" for key, value in told.pop("grid_options").items())
    told["grid"] += f"[{options}]" if options else ""
    lists = {key: ", ".join(map(str, value)) for key, value in told.items() if isinstance(value, tuple)}
    return f"  {told.pop('name')}: " + "; ".join(f"{key} {value}" for key, value in (told | lists).items())


def _solver(spec: str) -> str:
    from solverbench.contract.twins import same_program
    from solverbench.methods.registry import SOLVERS
    from solverbench.peers import aliases

    solver = SOLVERS[spec]
    facts = {
        "order": _order(solver),
        "with noise": ", ".join(f"{k} {p:g}" for k, p in (("strong", solver.strong), ("weak", solver.weak)) if p),
        "evaluations": f"{solver.evaluations} per step",
        "integrates": solver.integrates,
        "noise": "draws noise" if solver.stochastic else "deterministic",
        "family": solver.family,
        "options": ", ".join(f"{k}={v}" for k, v in solver.options.items()) or "none",
        "special case": solver.reason,
        "reference": solver.reference,
        "same program": ", ".join(same_program(solver)) or None,
        "elsewhere": "; ".join(aliases(str(solver))) or None,
    }
    return _explained(f"solver {solver}", solver.doc, facts)


def _adaptive(spec: str) -> str:
    from solverbench.adaptive import ADAPTIVE

    solver = ADAPTIVE[spec]
    facts = {
        "order": f"{solver.order}, of the solution it keeps: {solver.reason}",
        "steps": "chosen by the samples, for each by itself; run with solverbench.sample",
        "options": ", ".join(f"{k}={v}" for k, v in solver.options.items()),
        "reference": solver.reference,
    }
    return _explained(f"adaptive solver {solver}", solver.doc, facts)


def _grid(spec: str) -> str:
    from solverbench.grids import GRIDS

    rule = GRIDS[spec.split("[")[0]]
    options = {**rule.options, **named_grid(spec).keywords}
    fixed = ",".join(f"{k}={v}" for k, v in rule.fixed.items())
    at_the_data = {
        "jump": "jumps to it after t_min",
        "reach": "reaches it with t_min = 0, else jumps to it after t_min",
        "replace": "its last time is replaced by it",
    }
    facts = {
        "options": ", ".join(f"{k}={v}" for k, v in options.items()) or "none",
        "at the data": at_the_data[rule.end],
        "special case": f"of {rule.of}[{fixed}]" if fixed else rule.of and f"of {rule.of}",
        "reference": rule.reference,
    }
    return _explained(f"grid {spec}", rule.doc, facts)


def _explained(title: str, doc: str, facts: dict[str, Any]) -> str:
    lines = [f"{label + ':':14}{text}" for label, text in facts.items() if text]
    return "\n".join([title, "", *([doc, ""] if doc else []), *lines, ""])


def _order(solver: Solver) -> str:
    if not solver.order:
        return "none claimed"
    if solver.attains is None:
        ours = solver.function.__module__.startswith("solverbench.methods.")  # whose orders our tests measure
        return f"{solver.order} (claimed{' and measured' if ours else ''})"
    attained, shortfall = solver.attains
    runs = f"a run attains {attained}" if attained else "a run does not converge"
    return f"{solver.order} (claimed); {runs}, because of its {shortfall}"


_EXPLAINED = {
    "solver": _solver,
    "adaptive": _adaptive,
    "path": _path,
    "grid": _grid,
    "field": _field,
    "suite": _suite,
}
