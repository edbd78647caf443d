"""Solvers of one's own: from a file, and from an installed package."""

from __future__ import annotations

import json
from importlib import metadata

import numpy as np
import pytest
from small import told

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.fields import Gaussian
from solverbench.methods import SOLVERS, user


def test_a_file_registers_its_solvers(write, two):
    assert user.load_file(str(write(two))) == ["mine", "yours"]
    assert sb.solvers()["mine"].family == "user"
    assert sb.solvers()["mine"].doc == "Euler in time, scaled."


def test_a_file_named_twice_runs_once(write, two):
    path = str(write(two))
    assert user.load_file(path) == user.load_file(path) == ["mine", "yours"]
    assert user.load_file(f"{path}:yours") == ["yours"]


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ("", (1.0, 1, False)),
        ("[scale=0.5]", (0.5, 1, False)),
        ("[scale=2]", (2.0, 1, False)),
        ("[times=3, tune=true]", (1.0, 3, True)),
        ("[tune=no]", (1.0, 1, False)),
    ],
)
def test_one_solver_of_a_file_with_options_of_their_types(write, options, values):
    (name,) = user.load_file(f"{write()}:mine{options}")
    found = SOLVERS[name].options
    assert tuple(found.values()) == values
    assert [type(v) for v in found.values()] == [float, int, bool]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("[times=1.5]", "option times='1.5' is not a whole number"),
        ("[scale=fast]", "option scale='fast' is not a number"),
        ("[tune=perhaps]", "is not true or false"),
        ("[scal=2]", "no option 'scal'.*did you mean scale"),
        ("[scale]", "write option=value"),
    ],
)
def test_options_that_cannot_be(write, options, message):
    (name,) = user.load_file(f"{write()}:mine{options}")
    with pytest.raises(UsageError, match=message):
        SOLVERS[name]


TAKEN = "import solverbench\n@solverbench.solver('{}')\ndef f(x, path, grid):\n    return x\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import solverbench\n\n1 / 0\n", "mine.py, line 3: ZeroDivisionError: division by zero"),
        ("def f():\n    return [][1]\n\n\nf()\n", "mine.py, line 2: IndexError"),
        ("x = 1\ny = (\n", "mine.py, line 2: SyntaxError"),
        ("x = '\0'\n", "mine.py: SyntaxError: source code string cannot contain null bytes"),
        ("import absent_package_of_nobody\n", "line 1: ModuleNotFoundError"),
        ("raise SystemExit(3)\n", "line 1: SystemExit: 3"),
        ("x = 1\n", "mine.py registers no solver: decorate a function with @solverbench.solver"),
        ("", "registers no solver"),
        (TAKEN.format("ddim"), "mine.py: solver name 'ddim' is taken by solverbench.methods.stochastic"),
        (TAKEN.format("My Solver"), "'My Solver': use lower-case letters"),
    ],
)
def test_files_that_cannot_be_used_leave_nothing_behind(write, text, message):
    before = list(SOLVERS)
    path = str(write(text))
    with pytest.raises(UsageError, match=message):
        user.load_file(path)
    if "registers no" not in message:
        write(TAKEN.format("early") + text)  # what came before the error is forgotten
        with pytest.raises(UsageError):
            user.load_file(path)
    assert list(SOLVERS) == before
    write(TAKEN.format("early"))  # mended, it loads
    assert user.load_file(path) == ["early"]


def test_files_that_are_missing(tmp_path):
    for spec in (tmp_path / "absent.py", f"{tmp_path / 'absent.py'}:mine", tmp_path):
        spec = spec if str(spec).count(".py") else f"{spec}.py"
        with pytest.raises(UsageError, match=r"no such solver file: .*\.py"):
            user.load_file(str(spec))


def test_a_name_the_file_does_not_register(write):
    with pytest.raises(UsageError, match=r"mine.py registers no solver 'mien' \(did you mean mine\?\)"):
        user.load_file(f"{write()}:mien")


def test_two_files_cannot_share_a_name(write):
    user.load_file(str(write()))
    with pytest.raises(UsageError, match=r"other\.py: solver name 'mine' is taken by solverbench_user_mine"):
        user.load_file(str(write(name="other.py")))


def test_a_registered_solver_samples_and_has_a_law(write):
    user.load_file(str(write()))
    field = Gaussian([0.5, 0.0], [1.0, 0.1], "rectified")
    grid = sb.grid("uniform", field.path, 10)
    x = np.ones((4, 2))
    assert np.allclose(sb.sample(field, "mine", grid, x).x, sb.sample(field, "euler", grid, x).x, rtol=1e-12)
    assert sb.law(field, "mine", grid).w2 == pytest.approx(sb.law(field, "euler", grid).w2)
    assert sb.law(field, "mine[scale=0.5]", grid).w2 != pytest.approx(sb.law(field, "euler", grid).w2)


def test_a_file_goes_through_every_verb(solverbench, small, write, two):
    path = write(two)
    plan = json.loads(solverbench("plan", f"{path}:mine", "--nfe", "4", "--json").out)
    assert (plan["solver"], plan["nfe"]) == ("mine", 4)
    laws = json.loads(solverbench("law", path, "--nfe", "4", "--json").out)
    assert [r["solver"] for r in laws] == ["mine", "yours"]
    shown = solverbench("show", path).out
    assert "solver mine" in shown
    assert "solver yours" in shown
    assert "same program:" in shown
    run = solverbench("run", *small, "--json", "--solver", f"{path}:mine[scale=0.5]", "--solver", path)
    records = told(run.out)
    assert run.code == 0
    assert {(r["solver"], r["family"]) for r in records} == {(n, "user") for n in ("mine[scale=0.5]", "mine", "yours")}
    assert {r["same_as"] for r in records if r["solver"] == "yours"} == {"mine"}
    assert {"mine", "yours"} <= {r["solver"] for r in json.loads(solverbench("list", "--json").out)}


def test_errors_of_a_file_are_one_line(solverbench, write):
    shown = solverbench("law", write("x = 1\n1 / 0\n"))
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "error: mine.py, line 2: ZeroDivisionError: division by zero\n"


def test_a_solver_that_cannot_be_traced_does_not_hide_the_others(solverbench):
    @sb.solver("mischief")
    def mischief(x, path, grid):
        raise RuntimeError("not today")

    shown = solverbench("list", "--json")
    rows = {r["solver"]: r["evals"] for r in json.loads(shown.out)}
    assert (shown.code, rows["mischief"], rows["heun"]) == (0, None, 2)
    assert "solver mischief raised RuntimeError: not today" in shown.err


@pytest.fixture
def installed(monkeypatch, write):
    """installed(texts...): packages that announce solvers, all under the same entry point name."""

    def announce(*texts):
        points = []
        for n, text in enumerate(texts):
            path = write(text, f"announced_{n}.py")
            monkeypatch.syspath_prepend(path.parent)
            points.append(metadata.EntryPoint("solvers", f"announced_{n}", user.GROUP))
        monkeypatch.setattr(metadata, "entry_points", lambda group: points if group == user.GROUP else [])
        user._POINTS.clear()

    yield announce
    import sys

    for name in [m for m in sys.modules if m.startswith("announced_")]:
        del sys.modules[name]


def test_installed_packages_are_found_by_name(installed):
    installed(TAKEN.format("theirs"), TAKEN.format("others"))
    assert SOLVERS["theirs"].name == "theirs"
    assert {"theirs", "others"} <= set(sb.solvers())


def test_a_package_that_fails_is_a_warning_and_keeps_nobody_else(installed):
    installed("import absent_package_of_nobody", TAKEN.format("theirs"), TAKEN.format("ddim"))
    with pytest.warns(RuntimeWarning) as warned:
        assert "theirs" in set(sb.solvers())
    texts = [str(w.message) for w in warned]
    assert "solvers of 'announced_0' could not be loaded: No module named 'absent_package_of_nobody'" in texts
    assert any("'announced_2' could not be loaded: solver name 'ddim' is taken" in t for t in texts)
    assert set(sb.solvers())  # said once
