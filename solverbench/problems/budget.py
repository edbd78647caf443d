"""From a budget of model evaluations to a plan: the longest grid whose plan stays within it."""

from __future__ import annotations

from collections.abc import Callable

from solverbench.errors import BudgetError, UsageError
from solverbench.grids import Grid
from solverbench.methods import Solver
from solverbench.paths import Path
from solverbench.plans import Plan
from solverbench.predictions import Prediction


def plan_within(
    solver: Solver, path: Path, grid: Callable[[int], Grid], nfe: int, prediction: Prediction = "x0", cost: int = 1
) -> Plan:
    """The plan with the most steps whose evaluations, all counted, do not exceed `nfe`.

    grid(steps) makes the grid; cost: evaluations of the network per call of the field, 2 with guidance. A two-stage
    method given 10 may use 9: plans say what they use. Raises BudgetError when even the shortest plan needs more, or
    the longest that fits makes less than half of the budget (a solver that could only denoise is not itself), naming
    what would do, and UsageError when the grid has no more steps to offer.
    """
    if nfe != int(nfe) or nfe < 1:
        raise UsageError(f"a budget is a positive whole number of model evaluations, got {nfe}")
    asked, nfe = nfe, nfe // cost

    def trace(steps: int) -> Plan:
        return solver.plan(path, grid(steps), prediction)

    steps = max(1, nfe // max(1, solver.evaluations))
    plan = trace(steps)
    while plan.nfe > nfe and steps > 1:
        steps -= 1
        plan = trace(steps)
    if plan.nfe > nfe:
        least = plan.nfe * cost
        raise BudgetError(f"solver {solver} needs at least {least} evaluations on this grid, the budget is {asked}")
    if plan.nfe == nfe and solver.evaluations:  # a longer one makes more
        return plan
    while (longer := trace(steps + 1)).nfe <= nfe:
        if longer.nfe == plan.nfe:
            raise UsageError(
                f"solver {solver} makes no use of more steps: {plan.nfe} evaluations at any number of them"
            )
        steps, plan = steps + 1, longer
    if 2 * plan.nfe < nfe:
        more = f"{plan.nfe * cost} evaluations of a budget of {asked}, and {longer.nfe * cost} with one step more"
        raise BudgetError(f"solver {solver} makes {more}")
    return plan
