"""The checks on accuracy: orders measured against those claimed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from solverbench.contract.base import Finding
from solverbench.methods import Solver
from solverbench.orders import NoiseReport, Report, measure, measure_noise, subject
from solverbench.orders.measure import WORSE, expected

REMEDIES = {
    "below claim: start-up": "the first steps cost the order: start with a method of enough stages, or say "
    "attains=({attained}, 'start-up')",
    "below claim: coefficients": "expand one step in h: a coefficient of the claimed order is missing or wrong; or "
    "claim order={attained}",
    "inconsistent": "the error does not vanish as steps do: weights that do not sum to one, a time that is not the "
    "step's, a factor alpha or sigma, one prediction taken for another, or noise of the wrong variance",
    "failed": "a solver must not raise on any grid",
}
UNEVEN = "the order is there on smooth grids only: weights that hold for equal steps need the ratio h / h_old"
STRENGTH = "; it is held to the process of strength {}, and an option `eta: sb.Eta = sb.Eta.of(...)` says another"
STEP = 0.5
"""Between orders that can be claimed."""


def held(solver: Solver, report: Report) -> bool:
    """Whether what was measured is no worse than what the solver is registered with."""
    if report.verdict == "undetermined":
        return True
    if solver.attains and report.slopes and not report.attained.reaches(solver.attains[0]):
        return False
    return WORSE.index(report.verdict) <= WORSE.index(expected(solver))


def order(solver: Solver) -> Iterator[Finding]:
    """On a nonlinear field and a Gaussian, on smooth and uneven grids, locally, and of the output law with noise."""
    report = measure(subject(solver))
    seen = _seen(solver, report)
    least = report.attained
    if not held(solver, report):
        remedy = REMEDIES.get(report.verdict, "").format(attained=max(0, round(least.order)) if least.window else 0)
        if report.verdict == "below claim: coefficients" and _only_uneven(report):
            remedy = UNEVEN
        elif report.verdict == "inconsistent" and solver.stochastic and solver.strength is not None:
            remedy += STRENGTH.format(solver.strength)
        yield Finding("order", "fail", f"{seen}: {report.error or report.verdict}", remedy)
    elif report.verdict == "undetermined":
        yield Finding("order", "note", f"{seen}: no verdict ({least.remark})")
    elif solver.order is None:
        remedy = "" if least.exact else "claim it with order=, so that it is held to it"
        yield Finding("order", "note", seen, remedy)
    else:
        yield Finding("order", "pass", f"{seen}: {report.verdict}")
        attains = solver.attains[0] if solver.attains else solver.order
        if not (solver.stochastic or least.exact) and least.order - least.half > attains + STEP:
            said = "attains=" if solver.attains else "order="
            yield Finding("order", "note", f"it has more than it claims: {least}", f"say so with {said}")


def strong(solver: Solver) -> Iterator[Finding]:
    """The claim strong=, on one Brownian path: exactly on a Gaussian, and by sampling on a mixture."""
    yield from _with_noise(solver, "strong", solver.strong)


def weak(solver: Solver) -> Iterator[Finding]:
    """The claim weak=, by the exact law on a Gaussian."""
    yield from _with_noise(solver, "weak", solver.weak)


OF_NOISE = {
    "strong": "with x.noise(s, t) alone, strong order ends at 1, and 3/2 takes x.area(s, t) too: look for a term that "
    "is missing, or claim strong={least:g}",
    "weak": "a term is missing in the mean or variance of the law: look for it, or claim weak={least:g}",
    "inconsistent": "look at the noise: its variance, and that each step draws x.noise(s, t) of its own s and t",
    "failed": "a solver must not raise on any grid",
    "strength": "orders with noise are those of a process of one strength: nothing can be said of the claim",
    "no path": "draw x.noise(s, t) for every step, no part of the way twice or left out; or leave out {kind}=",
}


def _with_noise(solver: Solver, kind: Literal["strong", "weak"], claimed: float | None) -> Iterator[Finding]:
    if claimed is None:
        return
    made = subject(solver)
    report = measure_noise(made, kind)
    seen = f"claims {claimed:g}, measured {_each(report)}"
    match report.verdict:
        case "as claimed":
            yield Finding(kind, "pass", seen)
        case "undetermined" if made.eta is None:
            yield Finding(kind, "note", seen, OF_NOISE["strength"])
        case "undetermined":
            yield Finding(kind, "fail", seen, OF_NOISE["no path"].format(kind=kind))
        case "inconsistent" | "failed":
            yield Finding(kind, "fail", f"{seen}: {report.error or report.verdict}", OF_NOISE[report.verdict])
        case _:
            reached = report.attained.order + report.attained.half + 0.15
            yield Finding(kind, "fail", seen, OF_NOISE[kind].format(least=reached // STEP * STEP))


def _each(report: NoiseReport) -> str:
    return ", ".join(f"{slope} ({of})" for of, slope in report.slopes.items()) or "nothing: it draws no such noise"


def _only_uneven(report: Report) -> bool:
    assert report.claimed is not None
    short = [name for name, slope in report.slopes.items() if not slope.reaches(report.claimed)]
    return bool(short) and all(name.startswith("uneven") for name in short)


def _seen(solver: Solver, report: Report) -> str:
    claim = "claims none" if report.claimed is None else f"claims {report.claimed}"
    if solver.attains:
        claim += ", attains {} ({})".format(*solver.attains)
    parts = [f"{claim}, measured {report.attained}"] if report.slopes else [claim]
    if report.local:
        parts.append(f"one step {report.local}")
    parts += [f"{name} of the law {slope}" for name, slope in report.weak.items()]
    return ", ".join(parts)
