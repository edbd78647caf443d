"""`solverbench plan NAME`: the instructions and coefficients of a solver, before anything runs."""

from __future__ import annotations

import json
from typing import Any

import click

from solverbench.cli.common import json_option, named_grid, resolve_solver


@click.command("plan")
@click.argument("solver")
@click.option("--nfe", type=int, help="Budget of model evaluations; the longest plan within it.")
@click.option("--steps", type=int, help="Number of steps, instead of a budget.")
@click.option("--path", "path_name", default="edm", show_default=True, help="Gaussian path.")
@click.option("--grid", "grid_name", default="edm", show_default=True, help="Rule of the time grid, as in edm[rho=5].")
@click.option("--prediction", help="What the field outputs [default: what the solver integrates].")
@click.option("--latex", is_flag=True, help="Print a LaTeX table.")
@click.option("--roofline", "gpu", help="Add the projected least time on a GPU: h200, h100, a100 or rtx4090.")
@click.option("--size", type=click.IntRange(1), default=256 * 3072, show_default=True,
              help="Numbers in all states together, for --roofline.")
@click.option("--dtype", default="float32", show_default=True, help="Type of the states, for --roofline.")
@json_option
def command(
    solver: str,
    nfe: int | None,
    steps: int | None,
    path_name: str,
    grid_name: str,
    prediction: str | None,
    latex: bool,
    gpu: str | None,
    size: int,
    dtype: str,
    as_json: bool,
) -> None:
    """Print the linear program SOLVER is: evaluations, coefficients, noise."""
    from solverbench.api import plan as make_plan
    from solverbench.errors import UsageError
    from solverbench.methods.registry import SOLVERS
    from solverbench.paths import path
    from solverbench.plans import Plan
    from solverbench.problems.budget import plan_within
    from solverbench.roofline import gpu as data_sheet

    if nfe is not None and steps is not None:
        raise UsageError("give --nfe or --steps, not both")
    if latex and (as_json or gpu):
        raise UsageError("--latex prints a table alone: leave out --json and --roofline")
    on = None if gpu is None else data_sheet(gpu)
    made, grid = path(path_name), named_grid(grid_name)
    for name in resolve_solver(solver):
        found = SOLVERS[name]
        output: Any = prediction or found.predicts
        plan: Plan
        if steps is not None:
            plan = make_plan(found, made, grid(made, steps), prediction=output)
        else:
            plan = plan_within(found, made, lambda n: grid(made, n), 6 if nfe is None else nfe, output)
        _print(plan, latex, as_json, {} if on is None else _roofline(plan, on, size, dtype))


def _roofline(plan: Any, on: Any, size: int, dtype: str) -> dict[str, Any]:
    """What the data sheet says of the plan's own arithmetic."""
    from solverbench.roofline import floor

    least = floor(plan, on, size, dtype)
    return {
        "projected": on.name,
        "source": on.source,
        "size": size,
        "dtype": dtype,
        "bytes": least.bytes,
        "flops": least.flops,
        "seconds": least.seconds,
        "seconds_per_step": least.seconds / len(plan.grid),
        "bound": "memory" if least.memory >= least.arithmetic else "arithmetic",
    }


def _print(plan: Any, latex: bool, as_json: bool, roofline: dict[str, Any]) -> None:
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
        extra = {"roofline": roofline} if roofline else {}
        click.echo(json.dumps({**facts, **extra, "instructions": rows}, indent=1))
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
        if roofline:
            click.echo(
                "\nprojected, not measured: on {projected} no less than {seconds_per_step:.3g} s per step, "
                "{seconds:.3g} s in all, for {size} numbers of {dtype} ({bytes:.3g} bytes, {flops:.3g} operations, "
                "bound by {bound}; the field not included; {source})".format(**roofline)
            )


def _latex(plan: Any, table: Any) -> str:
    """A booktabs table; names like x12 become x_{12}."""
    import re

    def math(text: str) -> str:
        text = re.sub(r"\b([xFz])(\d+)\b", r"\1_{\2}", text)
        text = re.sub(r"\b(field|flow_map|exact|clip)\b", lambda m: rf"\mathrm{{{m[0].replace('_', ' ')}}}", text)
        text = text.replace("eta=", r"\eta=").replace("~", r"\sim").replace("e-", r"\mathrm{e-}")
        return text.replace(" over ", r"\ \text{over}\ ")

    rows = [
        rf"{n} & {op} & ${math(expression)}$ & {nfe} \\"
        for n, (op, expression, nfe) in enumerate(zip(table["op"], table["expression"], table["nfe"], strict=True))
    ]
    head = rf"% {plan.solver} on {plan.path}, grid {plan.grid.name}: {plan.nfe} evaluations, {plan.rows} rows"
    body = [r"\begin{tabular}{rlll}", r"\toprule", r"\# & op & expression & NFE \\", r"\midrule", *rows]
    return "\n".join([head, *body, r"\bottomrule", r"\end{tabular}"])
