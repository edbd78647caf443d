"""The suite pierret2025 against the paper's own recursions, and the table its problems share."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest

import solverbench as sb
from solverbench.cli import main
from solverbench.errors import UndefinedError, UsageError
from solverbench.methods import SOLVERS
from solverbench.problems.base import build
from solverbench.report import load
from solverbench.report.joint import joint_names, joint_table
from solverbench.run import suite

LAM = np.array([221.0, 3.0, 0.02, 1e-5, 0.0])
SCHEMES = ["euler-maruyama", "exp-score", "ddpm-large[beta=rate]", "euler", "heun", "rk4"]


def B(t):
    return 0.05 * t + 9.95 * t * t / 2


def rate(t):
    return 0.05 + 9.95 * t


def marginal(t):
    return math.exp(-2 * B(t)) * LAM - math.expm1(-2 * B(t))


def recursion(scheme, N, eps, V):
    """The variance after N - 1 steps of the forward convention dx = -beta x dt + sqrt(2 beta) dw, scheme by scheme."""
    times = np.linspace(1, eps, N)
    h = times[0] - times[1]

    def f(t):
        return rate(t) * (1 - 1 / marginal(t))

    for s, t in pairwise(times):
        L, b = marginal(s), rate(s)
        match scheme:
            case "euler-maruyama":
                V = (1 + h * b * (1 - 2 / L)) ** 2 * V + 2 * h * b
            case "exp-score":
                g = math.expm1(B(s) - B(t))
                V = (1 + g * (1 - 2 / L)) ** 2 * V + math.expm1(2 * (B(s) - B(t)))
            case "ddpm-large[beta=rate]":
                beta = 2 * h * b
                V = (1 - beta / L) ** 2 / (1 - beta) * V + beta
            case "euler":
                V = (1 + h * f(s)) ** 2 * V
            case "heun":
                V = (1 + h / 2 * (f(s) + f(t) * (1 + h * f(s)))) ** 2 * V
            case "rk4":
                m = s - h / 2
                k1 = f(s)
                k2 = f(m) * (1 + h / 2 * k1)
                k3 = f(m) * (1 + h / 2 * k2)
                k4 = f(t) * (1 + h * k3)
                V = (1 + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)) ** 2 * V
    return V


@pytest.fixture
def spectrum(tmp_path):
    """A file with eigenvalues, one of them zero."""
    np.save(tmp_path / "lam.npy", LAM)
    return str(tmp_path / "lam.npy")


@pytest.fixture
def problems(spectrum):
    """The suite's problems by name, on that spectrum."""
    return {spec.name: build(spec, 0) for spec in suite.load("pierret2025").on(spectrum).problems}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("eps", ["0", "1e-5", "1e-3"])
@pytest.mark.parametrize("name", ["published", "counted"])
def test_every_scheme_is_the_papers_recursion(problems, name, eps, scheme):
    made, solver = problems[f"{name}-eps={eps}"], SOLVERS[scheme]
    stages = {"heun": 2, "rk4": 4}.get(scheme, 1)
    if eps == "0" and stages > 1:
        with pytest.raises(UndefinedError, match="sigma = 0"):
            made.plan(solver, 80)
        return
    plan = made.plan(solver, 80)
    steps = {"published": {"rk4": 19}.get(scheme, 79), "counted": 80 // stages}[name]
    assert (len(plan.grid), plan.nfe) == (steps, steps * stages)
    found = made.judge(solver, plan).measures
    for key, start in (("w2", np.ones(5)), ("w2_truncation_discretisation", marginal(1.0))):
        V = recursion(scheme, steps + 1, float(eps), start)
        # near eps = 0 the stages at the end of a step amplify by 1/sigma^2, and rounding with them
        assert found[key] == pytest.approx(math.sqrt(np.sum((np.sqrt(V) - np.sqrt(LAM)) ** 2)), rel=1e-8), key


@pytest.mark.parametrize("eps", ["0", "1e-5", "1e-3"])
@pytest.mark.parametrize(("scheme", "stochastic"), [("euler-maruyama", True), ("euler", False)])
def test_the_continuous_columns(problems, eps, scheme, stochastic):
    """The law of the exact process from N(0, I): of the SDE, Lam + e^{-2(B_T - B)} Lam^2/Lam_T (1/Lam_T - 1); of the
    ODE, Lam/Lam_T."""
    made, end = problems[f"published-eps={eps}"], marginal(float(eps))
    last = marginal(1.0)
    V = end / last
    if stochastic:
        V = end + math.exp(-2 * (B(1.0) - B(float(eps)))) * end**2 / last * (1 / last - 1)
    measures = made.judge(SOLVERS[scheme], made.plan(SOLVERS[scheme], 50)).measures

    def w2(V):
        return math.sqrt(np.sum((np.sqrt(V) - np.sqrt(LAM)) ** 2))

    assert measures["w2_initialisation_truncation"] == pytest.approx(w2(V), rel=1e-9)
    assert measures["w2_truncation"] == pytest.approx(w2(end), rel=1e-9, abs=1e-14)


def test_a_budget_of_points_that_makes_no_step_is_refused(problems):
    with pytest.raises(UsageError, match="two points of 4 evaluations, the budget is 7"):
        problems["published-eps=1e-3"].plan(SOLVERS["rk4"], 7)
    assert problems["published-eps=1e-3"].plan(SOLVERS["rk4"], 8).nfe == 4


def test_the_command_prints_both_tables(spectrum, tmp_path, capsys):
    arguments = ["run", "--suite", "pierret2025", "--spectrum", spectrum, "--nfe", "24,40", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--name", "r", "-q"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert "published: W2 by NFE and start" in out
    assert "counted: W2 by NFE and start" in out
    assert "Of budgets 24, 40 heun made: 23 steps, 46 NFE; 39 steps, 78 NFE." in out
    reason = "heun on published-eps=0, rk4 on published-eps=0: a field cannot be evaluated at t = 0.0"
    assert reason in " ".join(out.split())
    folder = tmp_path / "pierret2025" / "r"
    tables = {p.name for p in (folder / "tables").iterdir()}
    assert tables == {"published.md", "published.csv", "counted.md", "counted.csv"}
    run = load(folder)
    assert joint_names(run) == ["published", "counted"]
    table = joint_table(run, "counted")
    assert list(table.body.columns) == [
        "solver", "problem", "continuous p_T", "continuous N_0", "24 p_T", "24 N_0", "40 p_T", "40 N_0",
    ]  # fmt: skip
    assert len(table.body) == 6 * 4
    row = table.body.loc[("heun", "counted-eps=1e-3")]
    records = [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]
    (record,) = (r for r in records if (r["problem"], r["solver"], r["budget"]) == ("counted-eps=1e-3", "heun", 40))
    assert float(row["40 N_0"]) == pytest.approx(record["w2"], rel=5e-3)
    assert float(row["40 p_T"]) == pytest.approx(record["w2_truncation_discretisation"], rel=5e-3)
    assert record["kl"] is None  # infinite, as one direction of the data is a point; the cell is no failure for it
    assert record["status"] == "ok"
    assert row["continuous N_0"] == table.body.loc[("euler", "counted-eps=1e-3")]["continuous N_0"]
    assert row["continuous N_0"] != table.body.loc[("exp-score", "counted-eps=1e-3")]["continuous N_0"]
    assert table.body.loc[("heun", "counted-eps=0")]["40 N_0"] == "-"


def test_a_spectrum_is_for_laws():
    power = suite.load("pierret2025").on("power-law")
    assert {p.field for p in power.problems} == {"power-law"}
    field = sb.fields.load("power-law", path="vp-linear")
    assert field.variance[0] == pytest.approx(202.1 * math.exp(-1 / 555.1))
    assert np.all(np.diff(field.variance) < 0)
    mixed = suite.load("cifar10")
    assert [p.field for p in mixed.on("power-law").problems][:2] == ["power-law", "cifar10-mixture"]
    with pytest.raises(UsageError, match="no problem of kind 'law'"):
        suite.Suite("s", "t", (5,), ("ddim",), mixed.problems[1:2], "full", "0").on("power-law")


def test_exp_score_is_exact_in_the_linear_part_on_every_path():
    """G by quadrature in the time itself, and order one in the variance."""
    from scipy.integrate import quad

    for name in ("vp-linear", "vp-cosine", "rectified", "edm", "trig"):
        path = sb.path(name)
        s, t = 0.8 * path.t_max, 0.3 * path.t_max

        def integrand(u, path=path, t=t):
            return path.alpha(t) * path.alpha(u) * 2 * path.sigma_tilde(u) * path.d_sigma_tilde(u)

        G = quad(integrand, t, s, epsabs=1e-13, epsrel=1e-12)[0]
        field = sb.fields.Gaussian([0.0], [0.7], path)
        K = sb.law(field, "exp-score", [s, t]).kernel
        score = -1 / (path.alpha(s) ** 2 * 0.7 + path.sigma(s) ** 2)
        q = path.alpha(t) / path.alpha(s)
        tolerance = 1e-4 if name == "rectified" else 1e-9  # there the rule is not exact
        assert K.A[0] == pytest.approx(q + G * score, rel=tolerance), name
        assert K.Q[0] == pytest.approx(q * q * path.sigma(s) ** 2 - path.sigma(t) ** 2, rel=1e-12), name


@pytest.mark.parametrize("solver", ["exp-score", "exp-score[eta=0.5]", "ddpm-large[beta=rate]", "exp-score[eta=0]"])
def test_first_order_in_the_law(solver):
    field = sb.fields.Gaussian(np.zeros(2), [1.5, 0.1], "vp-linear")
    errors = [
        np.abs(sb.law(field, solver, sb.grid("uniform", "vp-linear", n, t_min=0.1, zero=False), target="end").std_error)
        for n in (160, 320, 640)
    ]
    ratios = [errors[0] / errors[1], errors[1] / errors[2]]
    assert np.all(np.abs(np.log2(ratios[1]) - 1) < 0.1)


def test_steps_too_long_for_a_rate_are_refused():
    with pytest.raises(UsageError, match=r"step from 1 to 0.5 is too long for beta=rate"):
        sb.plan("ddpm-large[beta=rate]", "vp-linear", [1.0, 0.5])
    with pytest.raises(UsageError, match=r"unknown beta 'rat'.*rate"):
        sb.plan("ddpm-large[beta=rat]", "vp-linear", [1.0, 0.5])
