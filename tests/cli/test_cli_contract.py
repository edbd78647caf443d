"""`new-solver` and `check-solver`: what is written works as it is, and what fails is said with its remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import solverbench as sb
from solverbench.contract.twins import same_program
from solverbench.methods import user
from solverbench.templates import write as write_template

ORDER_TWO = """
import solverbench


@solverbench.solver("mine", order=2)
def mine(x, path, grid):
    for s, t in grid.steps:
        x = x + (t - s) * x.predict("velocity", at=s)
    return x
"""


@pytest.mark.parametrize("stochastic", [False, True])
def test_the_written_test_passes_as_written(tmp_path, stochastic):
    """Two processes, as a user would start them, in a folder that is not this checkout's."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    write = [sys.executable, "-m", "solverbench", "new-solver", "my-solver", *["--stochastic"] * stochastic]
    made = subprocess.run(write, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert (made.returncode, made.stderr, made.stdout) == (0, "", "my_solver.py\ntest_my_solver.py\n")
    test = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_my_solver.py"]
    ran = subprocess.run(test, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout
    for file in tmp_path.glob("*.py"):
        assert max(map(len, file.read_text("utf-8").splitlines())) <= 120


@pytest.mark.parametrize(("stochastic", "twin"), [(False, "dpmpp-2s"), (True, "sde-dpmpp-2m")])
def test_the_template_is_what_it_says(tmp_path, stochastic, twin):
    path, _ = write_template("mine", tmp_path, stochastic)
    (name,) = user.load_file(str(path))
    assert same_program(sb.solvers()[name], ("edm", "vp-linear")) == [twin]


def test_a_file_of_before_is_no_module_of_python(solverbench, tmp_path, monkeypatch):
    """`python -m solverbench` can import what lies in the working directory."""
    monkeypatch.syspath_prepend(str(tmp_path))
    assert solverbench("new-solver", "mine", "--out", tmp_path).code == 0
    assert "mine.py is there already" in solverbench("new-solver", "mine", "--out", tmp_path).err


def test_nothing_is_overwritten(solverbench, tmp_path):
    (tmp_path / "test_mine.py").write_text("precious")
    shown = solverbench("new-solver", "mine", "--out", tmp_path)
    assert (shown.code, shown.out) == (2, "")
    assert "test_mine.py is there already" in shown.err
    assert [f.name for f in tmp_path.iterdir()] == ["test_mine.py"]
    assert (tmp_path / "test_mine.py").read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My", "use lower-case letters"),
        ("2m", "a letter first"),
        ("../mine", "use lower-case letters"),
        ("dpmpp-2m", "is taken"),
        ("lambda", "would hide the Python module"),
        ("random", "random.py would hide the Python module"),
        ("numpy", "numpy.py would hide the Python module"),
    ],
)
def test_names_that_cannot_be(solverbench, tmp_path, name, message):
    shown = solverbench("new-solver", name, "--out", tmp_path)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(solverbench, tmp_path):
    (tmp_path / "file").write_text("")
    shown = solverbench("new-solver", "mine", "--out", tmp_path / "file")
    assert shown.code == 2
    assert "choose another --out" in shown.err


def test_what_fails_is_said_with_its_remedy(solverbench, write):
    shown = solverbench("check-solver", write(ORDER_TWO))
    assert shown.code == 1
    assert "pass  loads       mine.py registers mine" in shown.out
    assert "fail  order       claims 2, measured 1.00" in shown.out
    assert "a coefficient of the claimed order is missing or wrong" in shown.out
    assert shown.err == "failed: mine order\n"


def test_json_and_a_name(solverbench):
    shown = solverbench("check-solver", "ddim", "--json")
    rows = json.loads(shown.out)
    assert (shown.code, shown.err) == (0, "nothing failed\n")
    assert set(rows[0]) == {"solver", "check", "status", "measured", "remedy"}
    assert {row["status"] for row in rows} == {"pass", "note"}


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ("absent.py", 2, "no such solver file"),
        ("dim", 2, "unknown solver 'dim'"),
        ("rk45-adaptive", 2, "error: "),
    ],
)
def test_what_is_not_there_is_usage(solverbench, spec, code, message):
    shown = solverbench("check-solver", spec)
    assert (shown.code, shown.out) == (code, "")
    assert message in shown.err


def test_a_file_that_does_not_load_has_failed(solverbench, write):
    path = write("import solverbench\n1 / 0\n")
    shown = solverbench("check-solver", path)
    assert shown.code == 1
    assert "fail  loads       mine.py, line 2: ZeroDivisionError" in shown.out


@pytest.mark.parametrize("verb", ["check-solver", "order", "law"])
def test_a_file_that_is_named_without_its_ending(solverbench, write, monkeypatch, verb):
    monkeypatch.chdir(write().parent)
    shown = solverbench(verb, "mine", *["--nfe", "4"] * (verb == "law"))
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "error: unknown solver 'mine' (did you mean the file mine.py?)\n"


def test_a_name_that_the_file_does_not_register(solverbench, write, two):
    shown = solverbench("check-solver", f"{write(two)}:mien")
    assert (shown.code, shown.out) == (2, "")
    assert "did you mean mine?" in shown.err
