"""Budgets are exact: every stage and the final denoising are counted, and no longer plan would fit."""

from __future__ import annotations

import pytest

from solverbench.errors import BudgetError, UsageError
from solverbench.grids import grid
from solverbench.methods import SOLVERS
from solverbench.methods.registry import Solver
from solverbench.paths import path
from solverbench.problems.budget import plan_within

EDM = path("edm")


def within(solver, nfe, **options):
    made = SOLVERS[solver] if isinstance(solver, str) else solver
    return plan_within(made, EDM, lambda steps: grid("edm", EDM, steps, **options), nfe)


@pytest.mark.parametrize(("name", "per_step"), [("ddim", 1), ("heun", 2), ("dpm-3", 3), ("rk4", 4)])
@pytest.mark.parametrize("budget", [1, 2, 4, 5, 9, 10, 23])
@pytest.mark.parametrize("zero", [True, False])
def test_the_longest_plan_within_a_budget(name, per_step, budget, zero):
    """n steps to the data cost per_step (n - 1) + 1, the last being one denoising; without it per_step n.

    A plan that makes less than half of the budget, as where nothing but the denoising fits, is none.
    """
    if not zero and budget < per_step:
        with pytest.raises(UsageError, match=f"{name} needs at least {per_step} evaluations .* budget is {budget}$"):
            within(name, budget, zero=zero)
        return
    steps = 1 + (budget - 1) // per_step if zero else budget // per_step
    spent = per_step * (steps - zero) + zero
    if 2 * spent < budget:
        more = f"makes {spent} evaluations of a budget of {budget}, and {spent + per_step} with one step more"
        with pytest.raises(BudgetError, match=more):
            within(name, budget, zero=zero)
        return
    plan = within(name, budget, zero=zero)
    assert len(plan.grid) == steps
    assert plan.nfe == spent <= budget


@pytest.mark.parametrize("budget", [4, 5, 8, 12])
def test_a_method_whose_first_step_costs_more_still_fits(budget):
    def careful_start(x, path, grid):
        for n, (s, t) in enumerate(grid.steps):
            for k in range(1 if n else 3):
                x = x + (t - s) / 3 * x.predict("velocity", at=s + (t - s) * k / 3)
        return x

    plan = within(Solver("careful-start", careful_start), budget)
    assert (plan.nfe, len(plan.grid)) == (budget, budget - 2)
    assert within("unipc-3", budget).nfe == budget


@pytest.mark.parametrize("nfe", [0, -3, 2.5])
def test_a_budget_is_a_positive_whole_number(nfe):
    with pytest.raises(UsageError, match=f"positive whole number of model evaluations, got {nfe}"):
        within("ddim", nfe)


@pytest.mark.parametrize(("calls", "message"), [(1, "makes no use of more steps: 1 "), (4, "needs at least 4 ")])
def test_a_solver_that_ignores_the_steps(calls, message):
    def stubborn(x, path, grid):
        s = grid.times[0]
        for n in range(calls):
            x = x.predict("x0", at=s / (1 + n))
        return x

    with pytest.raises(UsageError, match=message):
        within(Solver("stubborn", stubborn), 3, zero=False)
