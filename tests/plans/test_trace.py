"""Tracing: what symbolic arithmetic writes down, and what it refuses."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest

import solverbench as sb
from solverbench.errors import PlanError, UsageError
from solverbench.numbers import log
from solverbench.plans import Eval, Input, Jump, LinComb, Map, Noise, trace

EDM = sb.path("edm")
GRID = sb.Grid(EDM, (10.0, 5.0, 1.0))


def traced(function, path=EDM, grid=GRID, prediction="x0"):
    """The plan of a function written in a test."""
    return trace(function, path, grid, prediction, name="mine")


def test_arithmetic():
    """-(2x - x/4) + 3 * (0.5 F) - F, written in every way Python has."""

    def mine(x, path, grid):
        F = x.predict("x0", at=10.0)
        total = sum([F * 0.5, 0.5 * F, 0.5 * F]) - F
        return -(2 * x - x / 4) + total

    plan = traced(mine)
    assert plan.code == (Input(), Eval(0, 10.0), LinComb(((0, -1.75), (1, 0.5))))
    assert plan.output == 2


def test_reflected_difference_and_numpy_scalars():
    plan = traced(lambda x, path, grid: np.float64(3) * x - 0 * x.predict("x0", at=10.0) + 0)
    assert plan.code == (Input(), LinComb(((0, 3.0),)))  # the evaluation is multiplied by zero: nobody needs it
    plan = traced(lambda x, path, grid: 0 - x)
    assert plan.code[-1] == LinComb(((0, -1.0),))


@pytest.mark.parametrize("asked", ["x0", "noise", "score", "v", "velocity"])
@pytest.mark.parametrize("given", ["x0", "noise", "score", "v", "velocity"])
def test_predict_converts_on_the_way(given, asked):
    from solverbench.predictions import convert

    plan = traced(lambda x, path, grid: x.predict(asked, at=5.0), prediction=given)
    a, b = convert(given, asked, EDM, 5.0)
    expected = tuple((v, c) for v, c in ((0, a), (1, b)) if c != 0)
    assert plan.nfe == 1
    if expected == ((1, 1.0),):  # the output itself; also noise and velocity, which are one thing where t = sigma
        assert plan.code == (Input(), Eval(0, 5.0))
    else:
        assert plan.code == (Input(), Eval(0, 5.0), LinComb(expected))


def test_the_same_question_is_asked_once():
    def mine(x, path, grid):
        D, eps = x.predict("x0", at=5.0), x.predict("noise", at=5.0)
        again = (1.0 * x).predict("score", at=5.0)
        return D + eps + again

    assert traced(mine).nfe == 1
    assert traced(lambda x, path, grid: x.predict("x0", at=5.0) + x.predict("x0", at=4.0)).nfe == 2
    assert traced(lambda x, path, grid: x.predict("x0", at=5.0) + (2 * x).predict("x0", at=5.0)).nfe == 2


def test_noise_belongs_to_its_interval():
    plan = traced(lambda x, path, grid: x + x.noise(10.0, 5.0) + 2 * (3 * x).noise(10.0, 5.0) + x.noise(5.0, 1.0))
    assert [i for i in plan.code if isinstance(i, Noise)] == [Noise(0, 10.0, 5.0), Noise(1, 5.0, 1.0)]
    assert plan.code[-1].terms == ((0, 1.0), (1, 3.0), (2, 1.0))
    assert plan.draws == 2


def test_an_increment_an_area_and_a_second_visit_are_three_draws():
    plan = traced(lambda x, path, grid: x + x.noise(10.0, 5.0) + x.area(10.0, 5.0) + x.noise(10.0, 5.0, visit=1))
    draws = [i for i in plan.code if isinstance(i, Noise)]
    assert draws == [Noise(0, 10.0, 5.0), Noise(1, 10.0, 5.0, area=True), Noise(2, 10.0, 5.0, visit=1)]


def test_draws_are_numbered_in_order_of_execution():
    def mine(x, path, grid):
        late, early = x.noise(5.0, 1.0), x.noise(10.0, 5.0)
        unused = x.noise(1.0, 0.5)
        del unused
        return x + early + late

    assert [i.draw for i in traced(mine).code if isinstance(i, Noise)] == [0, 1]


def test_jump_and_map():
    plan = traced(lambda x, path, grid: x.jump(10.0, 5.0).map(np.tanh).map(abs, "size"))
    assert plan.code == (Input(), Jump(0, 10.0, 5.0), Map(1, "tanh", np.tanh), Map(2, "size", abs))
    assert plan.nfe == 1
    assert not plan.linear
    assert traced(lambda x, path, grid: x.jump(10.0, 5.0)).linear


def test_head_and_tail_are_stepped_for_the_solver():
    """x_t = (sigma_t/sigma_s) x_s + (alpha_t - alpha_s sigma_t/sigma_s) D; onto the data it is D."""
    rect = sb.path("rectified")
    plan = traced(lambda x, path, grid: x, rect, sb.Grid(rect, (1.0, 0.6, 0.0)))
    assert plan.code == (Input(), Eval(0, 1.0), LinComb(((0, 0.6), (1, 0.4))), Eval(2, 0.6))
    assert plan.output == 3
    plan = traced(None, rect, sb.Grid(rect, (1.0, 0.0)))  # one step from noise to data: no solver needed
    assert plan.code == (Input(), Eval(0, 1.0))
    plan = traced(None, EDM, sb.Grid(EDM, (10.0, 0.0)))
    assert plan.code == (Input(), Eval(0, 10.0))


def test_solvers_that_take_the_ends():
    rect = sb.path("rectified")
    g = sb.Grid(rect, (1.0, 0.6, 0.0))
    plan = sb.plan("euler", rect, g, prediction="velocity")
    # Euler is x + h v out of pure noise as well; onto the data, where Euler with D = x - sigma v is the same
    assert plan.nfe == 2
    x = plan.code[2]
    assert dict(x.terms) == pytest.approx({0: 1.0, 1: -0.4})
    assert sb.plan("flow-map", rect, g).code == (Input(), Jump(0, 1.0, 0.6), Jump(1, 0.6, 0.0))


def test_coefficients_have_the_number_type_of_the_grid():
    plan = sb.plan("dpmpp-2m", EDM, GRID.astype(mp.mpf))
    coefficients = [c for i in plan.code if isinstance(i, LinComb) for _, c in i.terms]
    assert all(isinstance(c, mp.mpf) for c in coefficients)
    plan = sb.plan("dpmpp-2m", EDM, GRID.astype(np.longdouble))
    assert all(isinstance(c, np.longdouble) for i in plan.code if isinstance(i, LinComb) for _, c in i.terms)


def at_pure_noise(x, path, grid):
    return x.predict("x0", at=1.0)


RECT = sb.path("rectified")
REFUSED = {
    "a state plus a number": (lambda x, p, g: x + 1, "plus the number 1 is not linear"),
    "a number minus a state": (lambda x, p, g: 2.5 - x, "plus the number 2.5"),
    "a product of states": (lambda x, p, g: x * x.predict("x0", at=5.0), "product of two states"),
    "if state": (lambda x, p, g: x if x else 2 * x, "decides by the value of a state"),
    "not state": (lambda x, p, g: 2 * x if not x.predict("x0", at=5.0) else x, "decides by the value"),
    "evaluation without noise": (lambda x, p, g: x.predict("x0", at=0.0), "cannot be evaluated at t = 0.0"),
    "infinite coefficient": (lambda x, p, g: math.inf * x, "coefficient inf of value 0.*before the first evaluation"),
    "nan later on": (
        lambda x, p, g: (x + math.nan * x.predict("x0", at=5.0)).predict("x0", at=1.0),
        r"coefficient nan of value \d is not finite \(in the step from t = 5\)",
    ),
    "lambda at the data": (lambda x, p, g: log(0.0) * x, "coefficient -inf"),
    "no state returned": (lambda x, p, g: None, "'mine' must return the state, got NoneType"),
    "an array returned": (lambda x, p, g: np.ones(3), "must return the state, got ndarray"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    function, message = REFUSED[what]
    with pytest.raises(PlanError, match=message):
        traced(function)


def test_a_path_by_its_name():
    ddim = sb.solvers()["ddim"]
    assert ddim.plan("edm", GRID) == ddim.plan(EDM, GRID)
    with pytest.raises(UsageError, match="unknown path 'edn'"):
        ddim.plan("edn", GRID)


def test_states_of_two_traces():
    kept = []
    traced(lambda x, p, g: kept.append(x) or x)
    with pytest.raises(PlanError, match="two different traces"):
        traced(lambda x, p, g: x + kept[0])


def test_unknown_prediction():
    with pytest.raises(UsageError, match=r"'nose'.*did you mean noise"):
        traced(lambda x, p, g: x.predict("nose", at=5.0))
    with pytest.raises(UsageError, match="'nose'"):
        traced(lambda x, p, g: x.predict("x0", at=5.0), prediction="nose")


@pytest.mark.parametrize("solver", ["euler", "ddim"])
@pytest.mark.parametrize("prediction", ["noise", "score"])
def test_noise_predicted_where_nothing_else_is_left(solver, prediction):
    """At alpha = 0 the noise prediction is the state: no data can be read off it."""
    with pytest.raises(PlanError, match="start later"):
        sb.plan(solver, RECT, sb.grid("uniform", RECT, 4), prediction=prediction)


@pytest.mark.parametrize("prediction", ["x0", "v", "velocity"])
def test_predictions_that_work_from_pure_noise(prediction):
    for solver in ("euler", "ddim", "dpmpp-2m"):
        assert sb.plan(solver, RECT, sb.grid("uniform", RECT, 4), prediction=prediction).nfe == 4


def test_comparing_states_is_branching_too():
    with pytest.raises(PlanError):
        traced(lambda x, p, g: x if x == x.predict("x0", at=5.0) else 2 * x)


@pytest.mark.parametrize(
    "function",
    [lambda x, p, g: 1 / x, lambda x, p, g: x**2, lambda x, p, g: x / x, lambda x, p, g: x if x < 0 else -x,
     lambda x, p, g: x / 0.0],
)  # fmt: skip
def test_other_nonlinear_arithmetic(function):
    with pytest.raises(PlanError):
        traced(function)


def test_numpy_functions_of_a_state():
    """numpy itself refuses."""
    with pytest.raises(PlanError, match="does not support ufuncs"):
        traced(lambda x, p, g: np.sqrt(x))
