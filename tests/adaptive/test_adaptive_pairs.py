"""Pairs by their order conditions, and what a step evaluates."""

from __future__ import annotations

from fractions import Fraction as Q

import numpy as np
import pytest
from scipy.integrate import DOP853
from trees import at_zero, density, order_of, trees

import solverbench as sb
from solverbench.adaptive import pairs
from solverbench.adaptive.batch import Batch, Model
from solverbench.adaptive.pairs import Embedded, embedded
from solverbench.engines import numpy as engine
from solverbench.errors import UsageError
from solverbench.fields import Gaussian
from solverbench.methods import runge_kutta
from solverbench.methods.exponential import EXP_EULER, ExponentialTableau
from solverbench.methods.forms import FORMS
from solverbench.methods.runge_kutta import ButcherTableau


def defects(pair, b, order):
    """The largest |sum b Phi(tree) - 1/gamma(tree)| over trees of each number of vertices up to order."""
    a, c = [[float(q) for q in row] for row in pair.tableau.a], pair.tableau.c
    n = range(len(c))

    def phi_of(tree):
        value = [1.0] * len(c)
        for branch in tree:
            inner = phi_of(branch)
            value = [v * sum(a[i][j] * inner[j] for j in range(i)) for i, v in zip(n, value, strict=True)]
        return value

    return [
        max(
            abs(sum(float(w) * v for w, v in zip(b, phi_of(tree), strict=True)) - 1 / density(tree))
            for tree in trees(p)
        )
        for p in range(1, order + 1)
    ]


@pytest.mark.parametrize(("name", "orders"), [("rk23", (3, 2)), ("rk45", (5, 4))])
def test_exact_pairs_have_their_orders(name, orders):
    pair = embedded(name)
    weights = (pair.tableau.b, *pair.hats)
    assert tuple(order_of(pair.tableau.a, b, pair.tableau.c) for b in weights) == orders
    assert (pair.order, pair.exponent) == (orders[0], orders[1] + 1)
    assert pair.ends_in_its_last_stage


def test_dop853_has_its_orders_to_rounding():
    pair = embedded("dop853")
    for b, order in zip((pair.tableau.b, *pair.hats), (8, 5, 3), strict=True):
        found = defects(pair, b, order + 1)
        assert max(found[:-1]) < 1e-14
        assert found[-1] > 1e-6
    assert not pair.ends_in_its_last_stage
    # and they are scipy's, the sums put right by less than rounding
    np.testing.assert_allclose([float(b) for b in pair.tableau.b], DOP853.B, rtol=0, atol=1e-15)
    for d, E in zip(pair.differences, (DOP853.E5, DOP853.E3), strict=True):
        np.testing.assert_allclose([float(q) for q in d], E[:-1], rtol=0, atol=1e-15)


@pytest.mark.parametrize("entry", range(7))
def test_a_wrong_second_weight_is_seen(entry):
    """Moved between two stages, so that the sum stays one."""
    good = embedded("rk45")
    hat = list(good.hats[0])
    hat[entry], hat[entry - 1] = hat[entry] + Q(1, 1000), hat[entry - 1] - Q(1, 1000)
    assert order_of(good.tableau.a, hat, good.tableau.c) < 4


def test_weights_that_do_not_sum_to_one_are_refused():
    with pytest.raises(UsageError, match="must sum to 1"):
        Embedded.ending(runge_kutta.KUTTA3, "1/4, 1/4, 1/4, 1/8", 3, 3)
    with pytest.raises(UsageError, match="as many as b"):
        Embedded(runge_kutta.HEUN, ((Q(1),),), 2, 2)
    with pytest.raises(UsageError, match="unknown pair 'rk54'"):
        embedded("rk54")
    with pytest.raises(UsageError, match="must sum to c phi_1"):
        pairs.Exponential(EXP_EULER, ({1: Q(1, 2)},), 1)


def test_exponential_pairs():
    """dpm-12 keeps dpm-2 beside dpm-1; dpm-23 keeps dpm-3 beside dpm-2 with r_1 = 1/3, which plans do not have."""
    for name, orders in (("dpm-12", (2, 1)), ("dpm-23", (3, 2))):
        pair = pairs.EXPONENTIAL[name]
        t = pair.tableau
        a = [[at_zero(w) for w in row] for row in t.a]
        weights = [[at_zero(w) for w in b] for b in (t.b, pair.hat)]
        assert tuple(order_of(a, b, t.c) for b in weights) == orders
        assert isinstance(ExponentialTableau(t.c, t.a, pair.hat), ExponentialTableau)


FIELD = Gaussian([0.3, -1.0], [0.5, 2.0], "vp-linear")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("prediction", ["x0", "noise", "velocity"])
def test_a_step_is_that_of_a_plan(form, prediction, rng):
    """Both stages and end, of three samples at times of their own, in every form and prediction."""
    field, path = FIELD.at(prediction), FIELD.path
    x, s, t = rng.normal(size=(3, 2)), np.array([0.9, 0.5, 0.3]), np.array([0.7, 0.45, 0.1])
    pair = pairs.RungeKutta(embedded("rk23"), FORMS[form])
    model = Model(field)
    got = pair.propose(Batch(x, model), path, s, t)
    assert model.calls == 4

    @sb.solver(f"as-{form}", order=3)
    def steps(x, path, grid):
        for s, t in grid.steps:
            x = runge_kutta.step(x, s, t, path, ButcherTableau.of("; 1/2; 0, 3/4", "2/9, 1/3, 4/9"), FORMS[form])
        return x

    for i in range(3):
        plan = sb.plan(f"as-{form}", path, [s[i], t[i]], prediction=prediction)
        expected = engine.run(plan, field, x[i : i + 1])
        np.testing.assert_allclose(got.x.x[i], expected[0], rtol=1e-12)


@pytest.mark.parametrize(("name", "plan"), [("dpm-12", "dpm-2"), ("dpm-23", "dpm-3")])
def test_an_exponential_step_is_that_of_a_plan(name, plan, rng):
    x, s, t = rng.normal(size=(3, 2)), np.array([0.9, 0.5, 0.3]), np.array([0.7, 0.45, 0.1])
    model = Model(FIELD)
    got = pairs.EXPONENTIAL[name].propose(Batch(x, model), FIELD.path, s, t)
    assert model.calls == pairs.EXPONENTIAL[name].stages
    for i in range(3):
        expected = sb.sample(FIELD, plan, [s[i], t[i]], x=x[i : i + 1]).x
        np.testing.assert_allclose(got.x.x[i], expected[0], rtol=1e-12)
    if name == "dpm-12":
        low = sb.sample(FIELD, "dpm-1", [s[0], t[0]], x=x[:1]).x
        np.testing.assert_allclose(got.size.x[0], low[0], rtol=1e-12)
