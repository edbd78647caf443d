"""Every registered solver has the order it is registered with; faults planted in ten of them are seen."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from planted import FAULTS, planted
from scipy.integrate import solve_ivp

import solverbench as sb
from solverbench.cli import main
from solverbench.errors import PlanError
from solverbench.methods import SOLVERS, exponential, runge_kutta
from solverbench.orders import measure, subject
from solverbench.orders.grids import smooth
from solverbench.orders.local import A, InTime, local_order
from solverbench.orders.measure import WORSE, expected

OPTIONS = [
    "ddpm[eta=0]", "ddim[eta=0.5]", "euler-maruyama[eta=0]", "euler-maruyama[eta=0.5]", "sde-dpmpp-1[eta=0]",
    "sde-dpmpp-1[eta=0.5]", "sde-dpmpp-2m[eta=0]", "sde-dpmpp-2m[eta=0.3]", "sde-dpmpp-2m[variant=heun]",
    "unipc-2[variant=bh1]", "exp-rk3[predicts=noise]", "exp-ab2[predicts=noise]", "edm-stochastic[s_churn=0]",
]  # fmt: skip


@pytest.mark.parametrize("name", [*sb.solvers(), *OPTIONS])
def test_the_order_a_solver_is_registered_with(name):
    solver = sb.solvers()[name]
    report = measure(subject(solver))
    if name == "edm-stochastic[s_churn=0]":  # what does not converge is the churn
        solver = replace(solver, attains=None)
    assert report.verdict == expected(solver), report
    if report.slopes and solver.order:
        attained = solver.attains[0] if solver.attains else solver.order
        found = report.attained
        assert found.exact or abs(found.order - attained) <= 0.15 + found.half, report
    if solver.attains and solver.attains[1] == "start-up":
        assert report.aided.reaches(solver.order)
        assert not report.attained.reaches(solver.order)


@pytest.mark.parametrize("name", ["euler", "midpoint", "heun", "rk4", "deis-tab1", "deis-tab3", "dpmpp-2m", "unipc-2"])
@pytest.mark.parametrize("path", ["vp-linear", "vp-cosine", "rectified"])
def test_on_paths_where_time_is_not_sigma(name, path):
    report = sb.order(name, path)
    assert report.verdict == expected(sb.solvers()[name]), report


@pytest.mark.parametrize(("name", "old", "new", "what"), FAULTS, ids=[f"{n}: {w}" for n, *_, w in FAULTS])
def test_planted_faults_are_seen(name, old, new, what, monkeypatch):
    """The order falls, as it stands or with an exact history, or the law no longer converges."""
    sound = sb.order(name)
    faulty = measure(subject(planted(name, old, new, monkeypatch)))
    assert faulty.verdict != "failed"
    assert not same(sound, faulty), (what, faulty)


def same(a, b):
    """Whether two reports tell the same orders."""
    pairs = [(a.attained, b.attained), (a.local, b.local), *((a.weak[k], b.weak[k]) for k in a.weak)]
    return a.verdict == b.verdict and all(s.exact == t.exact and t.reaches(s.order) for s, t in pairs if not s.exact)


TABLEAUX = [
    (exponential, "exp-rk2", "etd2", "b", 1, {2: Fraction(1, 2), 1: Fraction(0)}),
    (exponential, "dpm-3", "dpm3", "b", 2, {2: Fraction(1)}),
    (exponential, "exp-rk3", "etd3", "a", (2, 1), {1: Fraction(1)}),
    (runge_kutta, "rho-4rk", "rk4", "b", 1, Fraction(1, 4)),
]


@pytest.mark.parametrize(("module", "name", "tableau", "part", "at", "entry"), TABLEAUX)
def test_planted_faults_in_tableaux_are_seen(module, name, tableau, part, at, entry, monkeypatch):
    """Past the tableau's own checks, which refuse rows that do not sum to c: those would not even be made."""
    sound = sb.order(name)
    home = module.TABLEAUX
    table = home[tableau]
    value = [list(row) if isinstance(row, tuple) else row for row in getattr(table, part)]
    if isinstance(at, tuple):
        value[at[0]][at[1]] = entry
        value = [tuple(row) for row in value]
    else:
        value[at] = entry
    wrong = object.__new__(type(table))
    for field in ("a", "b", "c"):
        object.__setattr__(wrong, field, tuple(value) if field == part else getattr(table, field))
    monkeypatch.setitem(home, tableau, wrong)
    faulty = sb.order(name)
    assert not same(sound, faulty), faulty
    assert WORSE.index(faulty.verdict) > WORSE.index(sound.verdict)


def test_a_solver_that_raises_is_a_verdict():
    def broken(x, path, grid, *, eta):
        return x.predict("x0", at=-1.0)

    report = measure(replace(subject(sb.solvers()["ddim"]), run=lambda *a: 1 / 0))
    assert report.verdict == "failed"
    assert "division by zero" in report.error
    with pytest.raises(PlanError, match="t = -1"):  # already when it is described
        subject(replace(sb.solvers()["ddim"], function=broken))


def test_published_churn_does_not_converge():
    """S_noise = 1.007 adds variance in every step: with more steps the law tends to another one than the data's."""
    variance = np.geomspace(0.1, 4, 7)
    field = sb.fields.Gaussian(np.zeros(variance.size), variance, "edm")
    grids = (sb.Grid(field.path, smooth(N)) for N in (256, 1024))
    excess = [sb.law(field, "edm-stochastic", grid, target="end").std_error for grid in grids]
    assert np.all(excess[1] > 1e-3)
    np.testing.assert_allclose(excess[0], excess[1], rtol=0.15)


def test_local_order_of_blocks():
    """Of both steps that Richardson extrapolation joins, or of all that Picard's iteration sweeps together."""
    for name, p in (("rx-euler", 2), ("rx-euler[every=3]", 2), ("picard", 1), ("picard[window=3]", 1)):
        assert abs(local_order(subject(sb.solvers()[name])).order - (p + 1)) < 0.15
    for name in ("picard[window=5]", "dpm-fast", "restart", "flow-map"):  # too long, uneven, no process, a jump
        assert local_order(subject(sb.solvers()[name])) is None


def test_local_order_on_fields_with_another_exact_step():
    """The closed solutions behind the local order, against the integral by quadrature."""
    for noise, k in ((False, 1.0), (True, 1.0), (False, 1.5), (True, 2.0)):
        field = InTime(noise, k)
        x = np.linspace(-1, 1, A.size)[None]

        def slope(lam, y, field=field, k=k):
            return -k * (y - field(y[None], float(np.exp(-lam)))[0])

        end = solve_ivp(slope, (-0.2, 0.9), x[0], method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
        np.testing.assert_allclose(field.defect(x, end[None], -0.2, 0.9), 0, atol=1e-10)


def rows_of(text):
    return [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]


def test_the_committed_page_has_every_solver_and_its_verdict():
    """docs/orders.md is what `solverbench order all --markdown` prints, digits aside."""
    page = (Path(__file__).parents[2] / "docs" / "orders.md").read_text()
    rows = rows_of(page.split("## With noise")[0])
    assert {row[0].strip("`"): row[-1] for row in rows} == {name: expected(s) for name, s in sb.solvers().items()}


def test_the_command_measures_and_judges(capsys, tmp_path):
    """A table, JSON, a file of one's own, and exit code 1 for a solver that is worse than it says."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import solverbench as sb\n"
        "@sb.solver('order-test-euler', order=2)\n"
        "def mine(x, path, grid):\n"
        "    for s, t in grid.steps:\n"
        "        x = x + (t - s) * x.predict('velocity', at=s)\n"
        "    return x\n"
    )
    for arguments, code in ((["ddim", "heun"], 0), ([str(file), "--json", "--jobs", "1"], 1), (["ddi"], 2)):
        with pytest.raises(SystemExit) as stopped:
            main(["order", *arguments])
        assert stopped.value.code == code
        out, err = capsys.readouterr()
        if code == 0:
            assert out.count("as claimed") == 2
        elif code == 1:
            (row,) = json.loads(out)
            assert row["verdict"] == "below claim: coefficients"
            assert row["measured"] == pytest.approx(1, abs=0.05)
            assert "order-test-euler: registered as 'as claimed'" in err
        else:
            assert "did you mean ddim" in err
    SOLVERS.discard("order-test-euler")
