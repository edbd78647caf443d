"""Names, options and the decorator that users write."""

from __future__ import annotations

import math

import pytest

import solverbench as sb
from solverbench import references
from solverbench.errors import UsageError
from solverbench.eta import Eta
from solverbench.methods.size import code_lines, sizes


@pytest.fixture
def mine():
    """A name that is free again after the test."""
    yield "mine-1.0"
    sb.solvers().discard("mine-1.0")


def euler(x, path, grid, *, gain: float = 1.0, stages: int = 1, label: str = "a", flag: bool = False):
    """Euler in sigma~, times a gain.

    A second paragraph.
    """
    for s, t in grid.steps:
        x = x + gain * (t - s) * x.predict("noise", at=s)
    return x


def test_builtin_solvers_say_where_they_come_from():
    for name, solver in sb.solvers().items():
        assert solver.name == name == str(solver)
        assert solver.cite
        assert all(entry and entry.line in solver.reference for entry, _ in references.parts(solver.cite))
        assert solver.doc
        assert solver.family != "user"
        assert solver.order is None or 1 <= solver.order <= 8
        assert solver.attains is None or solver.attains[0] < solver.order


def test_evaluations_and_noise():
    solvers = sb.solvers()
    assert [solvers[n].evaluations for n in ("ddim", "heun", "rk4", "dpm-3", "unipc-3", "flow-map")] == [
        1,
        2,
        4,
        3,
        1,
        1,
    ]
    stochastic = [n for n, s in solvers.items() if s.stochastic]
    assert {"ddpm", "euler-maruyama", "sde-dpmpp-2m", "edm-stochastic", "sa-solver"} <= {*stochastic}
    assert not {"ddim", "edm-heun", "unipc-3", "rk8", "flow-map"} & {*stochastic}
    assert not solvers["ddpm[eta=0]"].stochastic


@pytest.mark.parametrize(
    ("spec", "options", "text"),
    [
        ("ddim", {"eta": 0.0}, "ddim"),
        (" ddim [ eta = 0.5 ] ", {"eta": 0.5}, "ddim[eta=0.5]"),
        ("ddim[eta=1]", {"eta": 1.0}, "ddim[eta=1.0]"),
        ("ddim[]", {"eta": 0.0}, "ddim"),
        ("ddpm[eta=1]", {"eta": 1.0}, "ddpm"),  # its own default
        ("unipc-2[p=3,variant=bh1,corrector=no]", {"p": 3, "variant": "bh1", "corrector": False, "predicts": "x0"},
         "unipc-2[p=3,variant=bh1,corrector=False]"),
        ("edm-heun[s_max=inf,s_churn=1e1]",
         {"rule": "heun", "s_churn": 10.0, "s_min": 0.0, "s_max": math.inf, "s_noise": 1.0},
         "edm-heun[s_churn=10.0]"),
    ],
)  # fmt: skip
def test_specs(spec, options, text):
    solver = sb.solvers()[spec]
    assert dict(solver.options) == options
    kinds = {k: Eta if k == "eta" else type(v) for k, v in options.items()}
    assert {k: type(v) for k, v in solver.options.items()} == kinds
    assert str(solver) == text
    assert dict(sb.solvers()[str(solver)].options) == options  # what is printed can be read


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dim", "unknown solver 'dim'.*did you mean ddim"),
        ("dpmpp2m", "'dpmpp2m'.*dpmpp-2m"),
        ("qqq", "'qqq': `solverbench list` prints what there is"),
        ("ddim[et=1]", "'ddim' has no option 'et'.*eta"),
        ("exp-ab2[eta=1]", "'exp-ab2' has no option 'eta'.*predicts"),
        ("flow-map[eta=1]", "'flow-map' has no option 'eta'; it takes none"),
        ("ddim[eta]", "cannot read option 'eta', write option=value"),
        ("ddim[eta=much]", "cannot read eta 'much': its value and noise levels are numbers"),
        ("edm-heun[s_noise=much]", "option s_noise='much' is not a number"),
        ("unipc-2[p=2.5]", "option p='2.5' is not a whole number"),
        ("unipc-2[corrector=maybe]", "option corrector='maybe' is not true or false"),
        ("ddim[eta=1", r"cannot read solver 'ddim\[eta=1'"),
        ("", "cannot read solver ''"),
        ("ddim eta=1", "cannot read solver"),
    ],
)
def test_unreadable_specs(spec, message):
    with pytest.raises(UsageError, match=message):
        sb.solvers()[spec]


def test_other_options_of_a_solver():
    half = sb.solvers()["ddim"][{"eta": 0.5}]
    assert str(half) == "ddim[eta=0.5]"
    with pytest.raises(UsageError, match="no option 'ets'"):
        half[{"ets": 1}]


def test_a_users_solver(mine):
    returned = sb.solver(mine, order=1, integrates="noise", cite="a paper of mine", gain=2.0)(euler)
    assert returned is euler
    solver = sb.solvers()[mine]
    assert dict(solver.options) == {"gain": 2.0, "stages": 1, "label": "a", "flag": False}
    assert (solver.family, solver.order, solver.evaluations, solver.stochastic) == ("user", 1, 1, False)
    assert solver.doc.startswith("Euler in sigma~, times a gain.\n\nA second")
    assert solver.reference == "a paper of mine"
    assert list(sb.solvers())[-1] == mine
    grid = sb.grid("edm", "edm", 4)
    assert sb.plan(f"{mine}[gain=1]", "edm", grid).equivalent(sb.plan("ddim", "edm", grid))
    assert not sb.plan(mine, "edm", grid).equivalent(sb.plan("ddim", "edm", grid))
    assert sb.plan(euler, "edm", grid).solver == mine
    assert sb.plan(f"{mine}[stages=3,label=b,flag=yes]", "edm", grid).solver == f"{mine}[stages=3,label=b,flag=True]"


def test_names_that_cannot_be_given(mine):
    for name in ("ddim", mine):
        if name == mine:
            sb.solver(name)(euler)
        with pytest.raises(UsageError, match=f"'{name}' is taken by"):
            sb.solver(name)(euler)
    for name in ("Mine", "my solver", "x[1]", "", "-x", "é"):
        with pytest.raises(UsageError, match="use lower-case letters"):
            sb.solver(name)(euler)
    with pytest.raises(UsageError, match=r"no option 'gian'.*gain"):
        sb.solver("another", gian=1.0)(euler)
    assert "another" not in list(sb.solvers())


def test_functions_that_are_not_registered():
    with pytest.raises(UsageError, match="register the function with"):
        sb.plan(euler, "edm", sb.grid("edm", "edm", 4))


def test_a_function_with_several_names_runs_with_its_own_defaults():
    from solverbench.methods.unipc import unipc

    assert sb.plan(unipc, "edm", sb.grid("edm", "edm", 4)).solver.startswith(("unipc-2", "unipc[p=2"))


def test_asking_for_a_name_that_is_not_there():
    assert "ddim" in sb.solvers()
    assert "nope" not in sb.solvers()
    assert sb.solvers().get("nope") is None


def test_the_registry_is_a_mapping():
    registry = sb.solvers()
    assert len(registry) == len(list(registry)) == len(dict(registry))
    registry.discard("no such name")


def test_how_much_code_a_solver_is():
    text = '"""What it is."""\n\n# why\n@f\ndef g(\n    x,\n):\n    """Does."""\n    return """a\n    b"""\n'
    assert code_lines(text) == 6
    *files, total = sizes()
    assert total["solvers"] == len(sb.solvers())
    assert total["lines"] == sum(row["lines"] for row in files)
    assert total["lines per solver"] < 12
