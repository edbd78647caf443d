"""What each solver of a run is: its declared facts, the verdict on its order, where it comes from, and its plan."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from solverbench import references
from solverbench.errors import PlanError, UsageError
from solverbench.report.layout import listed

if TYPE_CHECKING:
    import pandas as pd

    from solverbench.methods import Solver
    from solverbench.plans import Plan
    from solverbench.report.records import Run

STEPS = 3
"""Enough for a multistep method to show its history."""


@dataclass(frozen=True)
class Subject:
    """A solver of the run, `plan` on the first problem that it runs on; `missing` says why there is nothing to show."""

    name: str
    family: str
    anchor: str
    doc: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    verdict: str = ""
    cite: str = ""
    bibtex: str = ""
    plan: pd.DataFrame | None = None
    plan_title: str = ""
    missing: str = ""
    mine: bool = False
    """Whether it is the reader's own: what the run was made for, or at least a file of somebody's."""
    trouble: list[str] = field(default_factory=list)
    """Why cells have no number."""


def subjects_of(run: Run) -> list[Subject]:
    """One for each solver, in the order of the run. Those of somebody else's file that is not loaded are named only."""
    from solverbench import solvers

    registry = solvers()
    names = {*registry}  # asked once: who is not there is looked for among all installed packages
    known, mine = run.records.drop_duplicates("solver"), run.manifest.get("mine") or ()
    found = []
    for i, row in enumerate(known.to_dict("records")):
        name, family = str(row["solver"]), str(row["family"])
        own = name in mine or family == "user"
        subject = Subject(name, family, f"solver-{i}", mine=own, trouble=_trouble(run, name))
        if subject.name.split("[")[0] in names:
            found.append(_described(run, registry[subject.name], subject))
        else:
            found.append(replace(subject, missing="It is not registered here, so its program cannot be shown."))
    return found


def _described(run: Run, solver: Solver, subject: Subject) -> Subject:
    facts: dict[str, Any] = {
        "claimed order": "none" if solver.order is None else solver.order,
        "integrates": solver.integrates,
    }
    plan, missing = _plan(run, solver)
    if plan is not None:
        facts |= {"evaluations per step": solver.evaluations, "rows of memory": plan.rows}
        facts["draws noise"] = "yes" if solver.stochastic else "no"
    if solver.reason:
        facts["special case"] = solver.reason
    entries = [entry for entry, _ in references.parts(solver.cite or "") if entry]
    title = f"{plan.solver} on {plan.path}: {plan.nfe} evaluations of the {plan.prediction} prediction" if plan else ""
    return replace(
        subject,
        doc=re.sub(r"(?<=\S)\n(?=\S)", " ", solver.doc),  # lines of a paragraph are one
        facts=[(key, str(value)) for key, value in facts.items()],
        verdict=verdict(solver),
        cite=solver.reference,
        bibtex="\n\n".join(dict.fromkeys(entry.bibtex for entry in entries)),
        plan=None if plan is None else plan.table(),
        plan_title=title,
        missing=missing,
    )


def _trouble(run: Run, solver: str) -> list[str]:
    bad = run.records[(run.records["solver"] == solver) & (run.records["status"] != "ok")]
    found = []
    for (status, reason), rows in bad.groupby(["status", "reason"], sort=False):
        where = [
            f"{problem} at NFE {budget:g}" for problem, budget in zip(rows["problem"], rows["budget"], strict=True)
        ]
        found.append(f"{str(status).capitalize()} on {listed(where, 8)}: {reason}")
    return found


def verdict(solver: Solver) -> str:
    """What is registered of its order, in the words of `solverbench order`."""
    if solver.order is None:
        return "no order is claimed"
    if solver.attains is None:
        return f"as claimed: order {solver.order}"
    order, cause = solver.attains
    if order == 0:
        return f"inconsistent: order {solver.order} is claimed, but a run does not converge ({cause})"
    return f"below claim: {cause}; order {solver.order} is claimed, a run attains {order}"


def _plan(run: Run, solver: Solver) -> tuple[Plan | None, str]:
    """A plan of a few steps on the path and grid of the first problem that it ran on, or why there is none."""
    import solverbench as sb

    ran = run.records.loc[run.records["solver"] == str(solver), ["problem", "grid"]].drop_duplicates()
    problems = {p["name"]: p for p in run.manifest.get("problems", ())}
    reason = "No plan: it ran on no problem."
    for name, grid in zip(ran["problem"], ran["grid"], strict=True):
        problem = problems.get(name, {})
        path = problem.get("path") or "edm"
        options = problem.get("grid_options", {}) if grid == problem.get("grid") else {}
        try:
            return sb.plan(solver, path, sb.grid(grid or "edm", path, steps=STEPS, **options)), ""
        except (UsageError, PlanError) as error:
            reason = f"No plan on {name}: {re.sub(r'[.]$', '', str(error))}."
    return None, reason
