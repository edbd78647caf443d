"""What is dropped, folded and shared, and that no two live values ever share a row."""

from __future__ import annotations

import numpy as np
import pytest

import solverbench as sb
from solverbench.engines import numpy as engine
from solverbench.plans import Eval, Input, LinComb, operands, trace

EDM = sb.path("edm")
GRID = sb.Grid(EDM, (10.0, 5.0, 1.0))
SOLVERS = list(sb.solvers())
INTEGRATING = [name for name in SOLVERS if sb.solvers()[name].integrates != "flow map"]
UNEVEN = {"restart", "picard", "dpm-fast", "pndm", "heunpp2"}
"""Solvers some of whose steps cost more than others."""
GRIDS = {
    "edm to the data": (EDM, sb.grid("edm", EDM, 8)),
    "edm": (EDM, sb.grid("edm", EDM, 7, zero=False)),
    "vp-linear": (sb.path("vp-linear"), sb.grid("uniform", "vp-linear", 6)),
    "rectified": (sb.path("rectified"), sb.grid("uniform", "rectified", 6)),
    "one step": (EDM, sb.grid("edm", EDM, 1)),
}


def traced(function, prediction="x0"):
    """The plan of a function written in a test."""
    return trace(function, EDM, GRID, prediction, name="mine")


def test_a_dead_evaluation_is_neither_made_nor_counted():
    def mine(x, path, grid):
        x.predict("x0", at=7.0)
        unused = (x + x.predict("noise", at=6.0)).predict("x0", at=4.0)
        del unused
        return 2 * x + x.predict("x0", at=5.0)

    plan = traced(mine)
    assert plan.nfe == 1
    assert plan.code == (Input(), Eval(0, 5.0), LinComb(((0, 2.0), (1, 1.0))))


def test_heuns_predictor_is_folded_into_its_corrector():
    plan = sb.plan("rho-2heun", EDM, GRID, prediction="noise")
    steps = [i for i in plan.code if isinstance(i, LinComb)]
    h = -5.0
    assert steps[0].terms == ((0, 1.0), (1, h))
    assert steps[1].terms == ((0, 1.0), (1, h / 2), (3, h / 2))  # three operands, not four


def test_folding_lowers_the_number_of_operands_and_changes_nothing(rng):
    """A chain of kept combinations of two values collapses; the result is that of the chain."""

    def mine(x, path, grid):
        F = x.predict("noise", at=5.0)
        y = (2 * x + 3 * F).keep()
        z = (y - x + F).keep()
        return z + 0.5 * y - 0.25 * F + x

    plan = traced(mine, "noise")
    x, F = rng.normal(size=(2, 1, 4))
    y = 2 * x + 3 * F
    expected = (y - x + F) + 0.5 * y - 0.25 * F + x
    got = engine.run(plan, lambda x, t: F, x)
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert all(len(i.terms) <= 2 for i in plan.code if isinstance(i, LinComb))


def test_copies_vanish():
    plan = traced(lambda x, path, grid: (1.0 * (x + 0.0 * x.predict("x0", at=5.0)).keep()).keep())
    assert plan.code == (Input(),)
    assert plan.output == 0
    assert plan.nfe == 0


@pytest.mark.parametrize("where", GRIDS)
@pytest.mark.parametrize("name", SOLVERS)
def test_liveness(name, where):
    """Run the schedule with labels instead of numbers: whoever reads a row finds there what was written for it."""
    path, grid = GRIDS[where]
    plan = sb.plan(name, path, grid, prediction="x0")
    last = {v: i for i, instruction in enumerate(plan.code) for v in operands(instruction)}
    last[plan.output] = len(plan.code)
    schedule = plan.schedule
    holds: dict[int, int] = {}
    others: set[int] = set()  # arrays that the engine does not own
    peak = 0
    for i, (instruction, row, dead) in enumerate(zip(plan.code, schedule.rows, schedule.dead, strict=True)):
        for v in operands(instruction):
            assert v in others if schedule.rows[v] is None else holds[schedule.rows[v]] == v
        assert set(dead) == {v for v, at in last.items() if at == i}
        alive = sum(1 for v, at in last.items() if v < i <= at)
        in_place = row is not None and any(schedule.rows[v] is not None for v in dead)
        peak = max(peak, alive + (not in_place))
        others -= set(dead)
        if row is None:
            others.add(i)
        else:
            live = {schedule.rows[v] for v, at in last.items() if v < i < at} - {None}
            assert row not in live, "a row that somebody still needs was given away"
            assert row < schedule.buffer
            holds[row] = i
    assert plan.rows == schedule.peak == peak
    output_row = schedule.rows[plan.output]
    assert output_row is None or holds[output_row] == plan.output


@pytest.mark.parametrize("name", SOLVERS)
def test_memory_does_not_grow_with_the_number_of_steps(name):
    few, many = (sb.plan(name, EDM, sb.grid("edm", EDM, n)) for n in (8, 20))
    assert few.rows == many.rows
    assert few.schedule.buffer == many.schedule.buffer


ROWS = {
    "euler": (3, "the start, its slope, the next state"),
    "ddim": (3, "the same"),
    "rho-2heun": (4, "the state, two slopes, the predicted state"),
    "rho-4rk": (6, "the state, four slopes, the last stage"),
    "dpmpp-2m": (3, "the state and two predictions; the next state is written over it"),
    "ddpm": (3, "the state, its prediction, the noise; the next state is written over the noise"),
    "unipc-2": (5, "the corrected state one step ago, the predicted state, three predictions"),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name):
    """Peak number of states alive at once, counted by hand."""
    rows, _ = ROWS[name]
    prediction = sb.solvers()[name].integrates
    assert sb.plan(name, EDM, sb.grid("edm", EDM, 8, zero=False), prediction=prediction).rows == rows


@pytest.mark.parametrize("where", GRIDS)
@pytest.mark.parametrize("name", INTEGRATING)
def test_nfe_is_what_a_counting_field_counts(name, where, rng):
    path, grid = GRIDS[where]
    plan = sb.plan(name, path, grid, prediction="x0")
    times = []

    def field(x, t):
        times.append(t)
        return 0.5 * x

    engine.run(plan, field, rng.normal(size=(2, 3)), lambda draw: rng.normal(size=(2, 3)))
    assert len(times) == plan.nfe
    assert times == [i.t for i in plan.code if isinstance(i, Eval)]


@pytest.mark.parametrize("name", [name for name in INTEGRATING if name not in UNEVEN])
def test_nfe_from_evaluations_per_step(name):
    """Steps times stages, and one evaluation for each end that the plan steps over; pndm starts with stages."""
    solver = sb.solvers()[name]
    for steps in (2, 5):
        assert sb.plan(name, EDM, sb.grid("edm", EDM, steps, zero=False)).nfe == steps * solver.evaluations
        assert sb.plan(name, EDM, sb.grid("edm", EDM, steps)).nfe == (steps - 1) * solver.evaluations + 1


@pytest.mark.parametrize(
    ("solver", "cost"),
    [
        ("restart", lambda n: 2 * n + 2 * 4),  # two visits, of two Heun steps each
        ("restart[visits=3,points=5]", lambda n: 2 * n + 3 * 8),
        ("picard", lambda n: 2 * n + 2 * (-n // 4) + (n % 4 == 1)),  # in a window of four: three, then three
        ("picard[sweeps=1]", lambda n: n),
        ("dpm-fast", lambda n: 3 * n - 3 if n > 1 else 1),
        ("dpm-fast[remainder=1]", lambda n: 3 * n - 2),
        ("dpm-fast[remainder=2]", lambda n: 3 * n - 1),
    ],
)
def test_nfe_of_uneven_steps(solver, cost):
    for n in (1, 2, 5, 8, 9):
        assert sb.plan(solver, EDM, sb.grid("edm", EDM, n, zero=False)).nfe == cost(n)


def test_table():
    table = sb.plan("ddpm", EDM, sb.Grid(EDM, (10.0, 5.0, 0.0))).table()
    assert list(table.columns) == ["op", "t", "expression", "nfe"]
    assert table.op.tolist() == ["Input", "Eval", "Noise", "LinComb", "Eval"]
    assert table.nfe.tolist() == [0, 1, 1, 1, 2]
    # DDPM from 10 to 5: (5/10)^2 x + (1 - (5/10)^2) D + 5 sqrt(1 - (5/10)^2) z
    assert table.expression.tolist() == [
        "x0 = start", "F1 = field(x0, 10)", "z1 ~ N(0, I) over [10, 5]", "x1 = 0.25 x0 + 0.75 F1 + 4.33013 z1",
        "F2 = field(x1, 5)",
    ]  # fmt: skip


def test_table_of_jumps_and_maps():
    def mine(x, path, grid):
        return x.jump(10.0, 5.0).map(np.tanh) - 2 * x

    expressions = traced(mine).table().expression.tolist()
    assert expressions == ["x0 = start", "x1 = flow_map(x0, 10, 5)", "x2 = tanh(x1)", "x3 = -2 x0 + 1 x2"] or (
        expressions[-1] == "x3 = - 2 x0 + 1 x2"
    )


def test_tableau_of_two_euler_steps():
    """Rows: the states evaluated, then the output; columns: the start, then the slopes."""
    plan = sb.plan("euler-sigma", EDM, GRID, prediction="noise")
    np.testing.assert_array_equal(plan.tableau().astype(float), [[1, 0, 0], [1, -5, 0], [1, -5, -4]])
    assert repr(plan) == "<Plan euler-sigma on edm: nfe=2, rows=3, draws=0>"
