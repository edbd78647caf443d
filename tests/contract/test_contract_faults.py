"""Faults planted in a solver that is right, each seen by the check whose question it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import solverbench as sb
from solverbench.contract import _asked, check, checks
from solverbench.contract.base import between, on
from solverbench.contract.twins import same_program
from solverbench.methods import SOLVERS
from solverbench.numbers import expm1


def midpoint(x, path, grid, *, at="x0", factor=1.0, state=lambda x: x, times=lambda t: t, h_of=None):
    """DPM-Solver++(2S), with places to do wrong."""
    for s, t in grid.steps:
        s, t = times(s), times(t)
        m = path.inverse_lam((path.lam(s) + path.lam(t)) / 2)
        h = (h_of or (lambda path, s, t: path.lam(s) - path.lam(t)))(path, s, t)
        D = x.predict(at, at=s)
        x_m = path.sigma(m) / path.sigma(s) * x - path.alpha(m) * expm1(path.lam(s) - path.lam(m)) * D
        D = x_m.predict(at, at=m)
        x = state(path.sigma(t) / path.sigma(s) * x - factor * path.alpha(t) * expm1(h) * D)
    return x


def made(name="mine", order=2, **registered):
    """A solver from a function, registered for the time of a test."""

    def register(function):
        sb.solver(name, order=order, **registered)(function)
        return SOLVERS[name]

    return register


def failed(solver, *names):
    """The checks that fail, of those named or of all."""
    asked = {name: ask for name, ask in checks().items() if name in names or not names}
    return {f.check: f.measured for name, ask in asked.items() for f in _asked(name, ask, solver) if f.status == "fail"}


@pytest.mark.parametrize("solver", ["deis-tab2", "ddpm", "edm-stochastic"])
def test_what_ships_fails_nothing(solver):
    findings = check(solver)
    assert [f for f in findings if f.status == "fail"] == []
    assert {f.check for f in findings} == set(checks()) - {"weak", "strong"}  # these three claim none


def test_a_wrong_coefficient():
    @made()
    def mine(x, path, grid):
        return midpoint(x, path, grid, factor=1.01)

    found = failed(mine, *(name for name in checks() if name != "finite"))
    assert set(found) == {"order"}
    assert "inconsistent" in found["order"]


def test_a_coefficient_that_is_right_on_one_path_only():
    @made()
    def mine(x, path, grid):  # alpha is forgotten where it is one
        for s, t in grid.steps:
            m = path.inverse_lam((path.lam(s) + path.lam(t)) / 2)
            D = x.predict("x0", at=s)
            x_m = path.sigma(m) / path.sigma(s) * x - expm1(path.lam(s) - path.lam(m)) * D
            D = x_m.predict("x0", at=m)
            x = path.sigma(t) / path.sigma(s) * x - expm1(path.lam(s) - path.lam(t)) * D
        return x

    found = failed(mine, "order", "paths", "predictions", "digits")
    assert set(found) == {"paths"}
    assert "inconsistent" in found["paths"]


def test_a_method_that_steps_in_t_is_a_note():
    (finding,) = checks()["paths"](sb.solvers()["heun"])
    assert (finding.status, "as claimed" in finding.measured) == ("note", True)


def test_one_prediction_taken_for_another():
    @made()
    def mine(x, path, grid):
        return midpoint(x, path, grid, at="noise")

    assert "inconsistent" in failed(mine, "order", "predictions")["order"]
    assert set(failed(mine, "order", "predictions")) == {"order"}  # equally wrong for every field


def test_a_solver_that_minds_what_the_field_outputs():
    @made()
    def mine(x, path, grid):
        wrong = x._tracer.prediction == "v"
        return midpoint(x, path, grid, factor=1 + 1e-4 * wrong)

    found = failed(mine, "predictions", "repeats", "seed", "batch")
    assert set(found) == {"predictions"}
    assert "v and x0" in found["predictions"]


def test_states_kept_from_another_trace():
    kept = {}

    @made()
    def mine(x, path, grid):
        D = kept.setdefault("D", x.predict("x0", at=grid.steps[0][0]))
        return midpoint(x, path, grid) + 0.0 * D

    assert "two different traces" in failed(mine, "repeats")["repeats"]


def test_coefficients_in_single_precision():
    @made()
    def mine(x, path, grid):
        return midpoint(x, path, grid, h_of=lambda path, s, t: np.float32(path.lam(s) - path.lam(t)))

    assert set(failed(mine, "traces", "digits", "dtype")) == {"digits"}


def test_coefficients_that_cancel():
    from solverbench.numbers import exp

    @made()
    def mine(x, path, grid):
        return midpoint(x, path, grid, factor=1 + (exp(path.lam(grid.steps[0][0]) * 0 + 1e-9) - 1) / 1e-9 - 1)

    assert set(failed(mine, "digits")) == {"digits"}


def test_coefficients_by_the_math_module_are_a_note():
    import math

    @made()
    def mine(x, path, grid):
        for s, t in grid.steps:
            lam_s, lam_t = (math.log(path.alpha(u) / path.sigma(u)) for u in (s, t))
            a = math.exp(lam_s - lam_t)
            x = float(path.alpha(t) / path.alpha(s)) * a * x + float(path.alpha(t)) * (1 - a) * x.predict("x0", at=s)
        return x

    (finding,) = checks()["digits"](mine)
    assert (finding.status, "sixteen" in finding.measured) == ("note", True)


def cast(a):
    return a.astype(np.float32) if isinstance(a, np.ndarray) else a.float()


def drawn(a, seed):
    return 1e-6 * np.random.default_rng(seed).normal(size=tuple(a.shape)).astype("float32")


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (cast, {"dtype"}),
        (lambda a: cast(a).astype(a.dtype) if isinstance(a, np.ndarray) else cast(a).to(a.dtype), {"dtype"}),
        (lambda a: a - 1e-6 * a.mean(0), {"batch"}),
        (lambda a: a + drawn(a, 0), {"noise", "batch"}),
        (lambda a: a + drawn(a, None), {"seed", "noise"}),
        (lambda a: a.reshape(len(a), -1), {"shape"}),
        (lambda a: a.clip(-1e9, 1e9) / 0, {"finite"}),
    ],
    ids=["cast", "cast and back", "mean of the batch", "noise by the batch", "noise of its own", "flat", "division"],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
def test_pointwise_functions_that_are_not(function, names):
    @made()
    def mine(x, path, grid):
        return midpoint(x, path, grid, state=lambda x: x.map(function))

    found = failed(mine, "shape", "dtype", "seed", "batch", "noise", "finite")
    assert names <= set(found), found


def test_the_same_program_is_found():
    @made()
    def mine(x, path, grid):
        return midpoint(x, path, grid)

    (finding,) = checks()["twins"](mine)
    assert (finding.status, finding.measured) == ("note", "the same program as dpmpp-2s")
    assert same_program(mine) == ["dpmpp-2s"]
    assert "euler-sigma" in " ".join(f.measured for f in checks()["twins"](sb.solvers()["euler"]))


def test_claims_that_are_missing_or_too_low():
    @made(order=None)
    def mine(x, path, grid):
        return midpoint(x, path, grid)

    @made("low", order=1)
    def low(x, path, grid):
        return midpoint(x, path, grid)

    (none,) = checks()["order"](mine)
    assert (none.status, "claims none, measured 2.00" in none.measured) == ("note", True)
    claimed, more = checks()["order"](low)
    assert (claimed.status, more.status) == ("pass", "note")
    assert "more than it claims" in more.measured


CLAIMED = [(name, kind) for name, s in SOLVERS.items() for kind in ("strong", "weak") if getattr(s, kind) is not None]


@pytest.mark.parametrize(("name", "kind"), CLAIMED)
def test_claims_on_the_noise_that_ship_are_held(name, kind):
    (found,) = checks()[kind](SOLVERS[name])
    claimed = getattr(SOLVERS[name], kind)
    assert (found.status, f"claims {claimed:g}, measured" in found.measured) == ("pass", True), found


def test_claims_on_the_noise_that_cannot_be_asked():
    (none,) = checks()["weak"](replace(SOLVERS["heun"], weak=1))
    assert (none.status, "it draws no such noise" in none.measured) == ("fail", True)
    (unknown,) = checks()["strong"](replace(SOLVERS["er-sde-2"], strong=1))
    assert (unknown.status, "of one strength" in unknown.remedy) == ("note", True)


def test_what_falls_short_by_more_than_is_said():
    attains = replace(SOLVERS["ab3"], attains=(3, "start-up"))
    (found,) = checks()["order"](attains)
    assert (found.status, "attains 3 (start-up), measured 2.0" in found.measured) == ("fail", True)
    assert "attains=(2, 'start-up')" in found.remedy


def test_how_far_plans_are_apart():
    edm = sb.path("edm")
    a = sb.solvers()["dpmpp-2s"].plan(edm, on(edm))
    assert between(a, a) == 0
    assert between(a, sb.solvers()["heun"].plan(edm, on(edm))) == float("inf")
    assert 0 < between(sb.solvers()["dpmpp-2m"].plan(edm, on(edm)), sb.solvers()["ddim"].plan(edm, on(edm))) <= 2


def test_adaptive_solvers_are_refused():
    with pytest.raises(sb.UsageError, match="steps"):
        check("rk45-adaptive")
