"""Exact laws in 3072 directions: all solvers at all budgets, and a long SDE."""

from contextlib import suppress

import numpy as np

import solverbench as sb
from solverbench.errors import BudgetError
from solverbench.problems.budget import plan_within

BUDGETS = (5, 6, 8, 10, 15, 20, 30, 50, 100)
k = np.arange(1, 3073)
SPECTRUM = 202.1 * k**-1.227 * np.exp(-k / 555.1)  # fits the pixel covariance of CIFAR-10


def test_bench_law_of_every_solver(benchmark):
    field = sb.fields.Gaussian(np.zeros(3072), SPECTRUM, "edm")

    def run():
        for solver in list(sb.solvers().values()):
            for nfe in BUDGETS:
                with suppress(BudgetError):  # too small for it
                    plan = plan_within(solver, field.path, lambda n: sb.grid("edm", field.path, n), nfe)
                    sb.law(field, solver, plan.grid)

    benchmark.pedantic(run, rounds=3)


def test_bench_law_of_a_thousand_steps(benchmark):
    field = sb.fields.Gaussian(np.zeros(3072), SPECTRUM, "edm")
    grid = sb.grid("edm", field.path, 1000)
    benchmark.pedantic(lambda: sb.law(field, "ddpm", grid), rounds=5)
