"""`solverbench check-solver FILE`: the contract of a solver, asked check by check."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from solverbench.cli.common import json_option, print_rows

if TYPE_CHECKING:
    from solverbench.contract import Finding


@click.command("check-solver")
@click.argument("solver")
@json_option
def command(solver: str, as_json: bool) -> int:
    """Ask SOLVER, your mine.py or mine.py:name, or a name, all of the contract, and say what fails with the remedy.

    It loads, is traced on every path for every prediction, runs in every number type, repeats, depends on nothing but
    its inputs, stays finite, and has the order it claims; a program that has a name already is told. Exit code 1 if a
    check fails. docs/writing-a-solver.md has the contract.
    """
    from solverbench.contract import check
    from solverbench.contract.loading import loads

    names, loaded = loads(solver)
    found = {name: [loaded, *check(name)] for name in names} or {solver: [loaded]}
    if as_json:
        print_rows(({"solver": name, **vars(f)} for name, findings in found.items() for f in findings), True)
    else:
        click.echo("\n\n".join(_text(name, findings) for name, findings in found.items()))
    failed = [f"{name} {f.check}" for name, findings in found.items() for f in findings if f.status == "fail"]
    click.echo(f"failed: {', '.join(failed)}" if failed else "nothing failed", err=True)
    return 1 if failed else 0


def _text(name: str, findings: list[Finding]) -> str:
    lines = [name]
    for f in findings:
        said = f"{f.measured}\n{f.remedy}" if f.remedy else f.measured
        first, *rest = [line for part in said.split("\n") for line in textwrap.wrap(part, 96, break_on_hyphens=False)]
        lines.append(f"  {f.status}  {f.check:<12}{first}")
        lines += [f"{'':<20}{line}" for line in rest]
    return "\n".join(lines)
