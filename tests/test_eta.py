"""Strengths in pieces of noise levels: how they are read, and what solvers make of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.eta import ONE, ZERO, Eta

PIECES = "0.5@0.05:1;1.5@1:8"


def value(eta, sigma):
    return next((p.value for p in eta.pieces if p.low <= sigma < p.high), 0.0)


@pytest.mark.parametrize(
    ("text", "printed", "constant"),
    [
        ("0.5", "0.5", 0.5), ("1", "1.0", 1.0), ("0", "0.0", 0.0), ("0.5@0.05:50", "0.5@0.05:50", None),
        (" 1 @ : 50 ", "1@:50", None), ("1@0.05:", "1@0.05:", None), ("2@1:;0.25@:1", "0.25@:1;2@1:", None),
        ("0@1:2", "0@1:2", 0.0), ("1e-1@1e-3:1e+2", "0.1@0.001:100", None), (0.3, "0.3", 0.3), (1, "1.0", 1.0),
    ],
)  # fmt: skip
def test_what_is_read_can_be_printed_and_read_again(text, printed, constant):
    eta = Eta.of(text)
    assert str(eta) == printed
    assert Eta.of(printed) == eta == Eta.of(eta)
    assert hash(Eta.of(printed)) == hash(eta)
    assert eta.constant == constant
    assert bool(eta) == (constant != 0)


def test_strengths_are_compared_with_numbers():
    assert ONE == 1
    assert ZERO == 0
    assert Eta.of(0.5) == 0.5
    assert Eta.of("0@1:2") == ZERO
    assert Eta.of("1@0.1:2") != 1
    assert Eta.of("1@0.1:2") != Eta.of("1@0.1:3")
    assert ONE != "1"
    assert Eta.of("0.25@:1;4@1:").largest == 4
    assert Eta.of("0.25@:1;4@1:").root == Eta.of("0.5@:1;2@1:")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-1", "need eta >= 0 and finite, got -1"), ("nan", "got nan"), ("inf", "got inf"),
        ("much", "cannot read eta 'much': its value and noise levels are numbers"),
        ("1:2", "cannot read eta '1:2': write 0.5, or 0.5@0.05:50"), ("1@2", "write 0.5"), ("1@1:2;", "write 0.5"),
        ("1@2:1", "0 <= low < high, got 2.0:1.0"), ("1@-1:1", "got -1.0:1.0"),
        ("1@0:2;1@1:3", "1@:2 and 1@1:3 overlap"),
        ([1.0], "eta is a number or text such as '0.5@0.05:50'"), (None, "got None"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(text, message):
    with pytest.raises(UsageError, match=message):
        Eta.of(text)


@pytest.mark.parametrize("name", ["edm", "vp-linear", "rectified"])
def test_a_step_takes_the_root_mean_square_in_lambda(name):
    path, eta = sb.path(name), Eta.of(PIECES)
    for high, low in ((20.0, 0.01), (2.0, 0.5), (0.9, 0.1), (40.0, 9.0), (5.0, 2.0)):
        s, t = (path.inverse_sigma_tilde(sigma) for sigma in (high, low))
        breaks = [-math.log(b) for b in (8, 1, 0.05) if low < b < high]
        ends = -math.log(high), -math.log(low)
        mean, _ = quad(lambda lam: value(eta, math.exp(-lam)) ** 2, *ends, points=breaks or None)
        assert eta.over(path, s, t) == pytest.approx(math.sqrt(mean / (ends[1] - ends[0])), abs=1e-7)
    s, t = (path.inverse_sigma_tilde(sigma) for sigma in (5.0, 2.0))
    assert eta.over(path, s, t) == 1.5  # exactly: a plan is the constant's
    s, t = (path.inverse_sigma_tilde(sigma) for sigma in (20.0, 0.01))
    assert [round(float(path.sigma_tilde(a)), 9) for _, a, _ in eta.within(path, s, t)] == [8, 1]


def test_infinite_steps_take_the_strength_at_their_infinite_end():
    rectified = sb.path("rectified")
    assert Eta.of("0.5@:1;2@1:").over(rectified, 1.0, 0.2) == 2
    assert Eta.of("0.5@:1;2@1:").over(rectified, 0.9, 0.0) == 0.5
    assert Eta.of("2@1:5").over(rectified, 1.0, 0.2) == 0
    assert list(ONE.within(rectified, 1.0, 0.0)) == [(1.0, 1.0, 0.0)]


def test_edges_of_pieces_on_times_of_the_grid_leave_no_slivers():
    path = sb.path("vp-cosine")
    t = [path.inverse_sigma_tilde(sigma) for sigma in (7.3, 1.9, 0.3)]
    eta = Eta.of("1@0.3:1.9")
    assert eta.over(path, t[0], t[1]) == 0
    assert eta.over(path, t[1], t[2]) == pytest.approx(1, abs=1e-12)


SOLVERS = [name for name, s in sb.solvers().items() if isinstance(s.options.get("eta"), Eta) and s.stochastic]


@pytest.mark.parametrize("name", SOLVERS)
def test_pieces_that_are_constant_are_the_constant(name):
    """An eta of 0.5 in two pieces is the plan of 0.5; beyond its pieces a solver draws nothing."""
    grid = sb.grid("edm", "edm", 6)
    one, two = (sb.plan(f"{name}[eta={eta}]", "edm", grid, prediction="x0") for eta in ("0.5", "0.5@:1.3;0.5@1.3:"))
    if not two.jumps:  # an exact process keeps its pieces
        assert one.equivalent(two, 1e-9)
    part = sb.plan(f"{name}[eta=0.5@1:30]", "edm", grid, prediction="x0")
    assert 0 < part.draws < one.draws
    assert all(edm_level >= 1 - 1e-9 for edm_level in (i.s for i in part.noise))


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 1.5])
def test_er_sde_takes_strengths_as_scales(eta):
    """phi = sigma~^{1 + eta^2}: of order one it is the exponential integrator of that strength."""
    grid = sb.grid("edm", "edm", 6)
    ours = sb.plan(f"er-sde-1[scale={eta}]", "edm", grid, prediction="x0")
    assert ours.equivalent(sb.plan(f"sde-dpmpp-1[eta={eta}]", "edm", grid, prediction="x0"))
    pieces = sb.plan("er-sde-1[scale=0.5@0.05:1;1.5@1:8]", "edm", grid, prediction="x0")
    assert pieces.equivalent(sb.plan("sde-dpmpp-1[eta=0.5@0.05:1;1.5@1:8]", "edm", grid, prediction="x0"))


def test_options_in_python():
    solver = sb.solvers()["ddim"][{"eta": "0.5@0.05:1"}]
    assert str(solver) == "ddim[eta=0.5@0.05:1]"
    assert sb.solvers()[str(solver)] == solver
    assert solver.options["eta"] == sb.Eta.of("0.5@0.05:1")
    with pytest.raises(UsageError, match="eta must be between 0 and 1"):
        sb.plan("ddim[eta=1.5@0.05:1]", "edm", np.array([1.0, 0.5]))
