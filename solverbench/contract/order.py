"""The check on accuracy: the order measured against the order claimed."""

from __future__ import annotations

from collections.abc import Iterator

from solverbench.contract.base import Finding
from solverbench.methods import Solver
from solverbench.orders import Report, measure, subject
from solverbench.orders.measure import WORSE, expected

REMEDIES = {
    "below claim: start-up": "the first steps cost the order: start with a method of enough stages, or say "
    "attains=({attained}, 'start-up')",
    "below claim: coefficients": "expand one step in h: a coefficient of the claimed order is missing or wrong",
    "inconsistent": "the error does not vanish as steps do: weights that do not sum to one, a factor alpha or sigma, "
    "one prediction taken for another, or noise of the wrong variance",
    "failed": "a solver must not raise on any grid",
}


def held(solver: Solver, report: Report) -> bool:
    """Whether a verdict is no worse than follows from what the solver is registered with."""
    if report.verdict == "undetermined":
        return True
    return WORSE.index(report.verdict) <= WORSE.index(expected(solver))


def order(solver: Solver) -> Iterator[Finding]:
    """On a nonlinear field and a Gaussian, on smooth and uneven grids, locally, and of the output law with noise."""
    report = measure(subject(solver))
    seen = _seen(report)
    if not held(solver, report):
        attained = report.attained.order
        remedy = REMEDIES.get(report.verdict, "").format(attained=max(0, round(attained)) if attained < 99 else 0)
        yield Finding("order", "fail", f"{seen}: {report.error or report.verdict}", remedy)
    elif report.verdict == "undetermined":
        yield Finding("order", "note", f"{seen}: no verdict ({report.attained.remark})")
    elif solver.order is None:
        remedy = "" if report.attained.exact else "claim it with order=, so that it is held to it"
        yield Finding("order", "note", seen, remedy)
    else:
        yield Finding("order", "pass", f"{seen}: {report.verdict}")
        least = report.attained
        if not solver.stochastic and not least.exact and least.order - least.half > solver.order + 0.5:
            yield Finding("order", "note", f"it has more than it claims: {least}", "claim it with order=")


def _seen(report: Report) -> str:
    claim = "claims none" if report.claimed is None else f"claims {report.claimed}"
    parts = [f"{claim}, measured {report.attained}"] if report.slopes else [claim]
    if report.local:
        parts.append(f"one step {report.local}")
    parts += [f"{name} of the law {slope}" for name, slope in report.weak.items()]
    return ", ".join(parts)
