"""`solverbench law NAME`: the exact error of a solver, without a single sample."""

from __future__ import annotations

import click

from solverbench.cli.common import Numbers, json_option, named_grid, print_rows, resolve_solver


@click.command("law")
@click.argument("solver")
@click.option("--nfe", type=Numbers(), default="5,6,8,10,15,20,30,50,100", show_default=True, help="Budgets.")
@click.option(
    "--field",
    "field_name",
    default="cifar10-gaussian",
    show_default=True,
    help="A Gaussian field: its name, eigenvalues in a .npy or .npz file, or your own file.py:function.",
)
@click.option("--path", "path_name", show_default="edm", help="Gaussian path; a file.py has its own.")
@click.option("--grid", "grid_name", default="edm", show_default=True, help="Rule of the time grid, as in edm[rho=5].")
@click.option("--transfer", is_flag=True, help="Instead, what the solver does to every direction, as CSV (one budget).")
@json_option
def command(
    solver: str,
    nfe: tuple[int, ...],
    field_name: str,
    path_name: str | None,
    grid_name: str,
    transfer: bool,
    as_json: bool,
) -> None:
    """Print distances of SOLVER's output law to the data by budget, W2 split into initialisation, truncation and
    discretisation."""
    from solverbench.engines.law import kernel
    from solverbench.errors import UsageError
    from solverbench.eta import ZERO
    from solverbench.fields import load
    from solverbench.fields.base import LinearField
    from solverbench.measures.law import error_split, law_of
    from solverbench.measures.law import transfer as gains
    from solverbench.methods.registry import SOLVERS
    from solverbench.problems.budget import plan_within

    grid = named_grid(grid_name)
    names = resolve_solver(solver)  # first, so that a file of solvers and a field is run once
    field = load(field_name, path=path_name) if path_name else load(field_name)
    if not isinstance(field, LinearField):
        raise UsageError(
            f"field {field_name!r} has no exact laws; cifar10-gaussian has, and eigenvalues in a .npz file"
        )
    if transfer and len(names) * len(nfe) > 1:
        raise UsageError("--transfer is of one solver at one budget: give --nfe 10, say")
    rows = []
    for name in names:
        found = SOLVERS[name]
        for budget in nfe:
            plan = plan_within(found, field.path, lambda n: grid(field.path, n), budget, field.prediction)
            eta = found.strength or ZERO
            if transfer:
                table = gains(plan, field, "prior", eta)
                click.echo(table.to_json(orient="records") if as_json else table.to_csv(), nl=as_json)
                return
            K = kernel(plan, field)
            split, law = error_split(plan, field, eta, K), law_of(plan, field, "prior", K=K)
            rows.append(
                {
                    "solver": str(found),
                    "budget": budget,
                    "nfe": plan.nfe,
                    "W2": split["w2"]["total"],
                    "initialisation": split["w2"]["initialisation"],
                    "truncation": split["w2"]["truncation"],
                    "discretisation": split["w2"]["discretisation"],
                    "KL": law.kl,
                    "reverse KL": law.reverse_kl,
                    "Hellinger": law.hellinger,
                }
            )
    print_rows(rows, as_json)
