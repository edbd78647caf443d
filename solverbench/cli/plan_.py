"""`solverbench plan NAME`: the instructions and coefficients of a solver, before anything runs."""

from __future__ import annotations

import json
from typing import Any

import click

from solverbench.cli.common import json_option, resolve_solver


@click.command("plan")
@click.argument("solver")
@click.option("--nfe", type=int, help="Budget of model evaluations; the longest plan within it.")
@click.option("--steps", type=int, help="Number of steps, instead of a budget.")
@click.option("--path", "path_name", default="edm", show_default=True, help="Gaussian path.")
@click.option("--grid", "grid_name", default="edm", show_default=True, help="Rule of the time grid.")
@click.option("--prediction", help="What the field outputs [default: what the solver integrates].")
@click.option("--latex", is_flag=True, help="Print a LaTeX table.")
@json_option
def command(
    solver: str,
    nfe: int | None,
    steps: int | None,
    path_name: str,
    grid_name: str,
    prediction: str | None,
    latex: bool,
    as_json: bool,
) -> None:
    """Print the linear program SOLVER is: evaluations, coefficients, noise."""
    from solverbench.api import plan as make_plan
    from solverbench.errors import UsageError
    from solverbench.grids import grid
    from solverbench.methods.registry import SOLVERS
    from solverbench.paths import path
    from solverbench.plans import Plan
    from solverbench.problems.budget import plan_within

    if nfe is not None and steps is not None:
        raise UsageError("give --nfe or --steps, not both")
    made = path(path_name)
    for name in resolve_solver(solver):
        found = SOLVERS[name]
        output: Any = prediction or found.predicts
        plan: Plan
        if steps is not None:
            plan = make_plan(found, made, grid(grid_name, made, steps), prediction=output)
        else:
            plan = plan_within(found, made, lambda n: grid(grid_name, made, n), 6 if nfe is None else nfe, output)
        _print(plan, latex, as_json)


def _print(plan: Any, latex: bool, as_json: bool) -> None:
    table = plan.table()
    facts = {
        "solver": plan.solver,
        "path": str(plan.path),
        "grid": plan.grid.name,
        "times": [float(t) for t in plan.grid.times],
        "prediction": plan.prediction,
        "nfe": plan.nfe,
        "rows": plan.rows,
        "draws": plan.draws,
    }
    if as_json:
        rows = json.loads(table.to_json(orient="records"))
        click.echo(json.dumps({**facts, "instructions": rows}, indent=1))
    elif latex:
        click.echo(_latex(plan, table))
    else:
        from tabulate import tabulate

        click.echo(
            f"{plan.solver} on {plan.path}, grid {plan.grid.name}, {len(plan.grid)} steps: {plan.nfe} evaluations "
            f"of the {plan.prediction} prediction, {plan.rows} rows, {plan.draws} noise draws\n"
        )
        shown = table.assign(t=[f"{t:.6g}" if t == t else "" for t in table["t"]])  # nan
        click.echo(tabulate(shown, headers="keys", showindex=False, disable_numparse=True))


def _latex(plan: Any, table: Any) -> str:
    """A booktabs table; names like x12 become x_{12}."""
    import re

    def math(text: str) -> str:
        text = re.sub(r"\b([xFz])(\d+)\b", r"\1_{\2}", text)
        text = re.sub(r"\b(field|flow_map|clip)\b", lambda m: rf"\mathrm{{{m[0].replace('_', ' ')}}}", text)
        return text.replace("~", r"\sim").replace("e-", r"\mathrm{e-}").replace(" over ", r"\ \text{over}\ ")

    rows = [
        rf"{n} & {op} & ${math(expression)}$ & {nfe} \\"
        for n, (op, expression, nfe) in enumerate(zip(table["op"], table["expression"], table["nfe"], strict=True))
    ]
    head = rf"% {plan.solver} on {plan.path}, grid {plan.grid.name}: {plan.nfe} evaluations, {plan.rows} rows"
    body = [r"\begin{tabular}{rlll}", r"\toprule", r"\# & op & expression & NFE \\", r"\midrule", *rows]
    return "\n".join([head, *body, r"\bottomrule", r"\end{tabular}"])
