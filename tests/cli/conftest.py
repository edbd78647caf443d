"""The command line in this process, on a suite of small fields."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import small

from solverbench.cli import main

SUITE = f"""
schema = 1
name = "small"
nfe = [3, 6]
solvers = ["ddim", "heun", "ddpm"]
{small.PROBLEMS}
"""
MINE = """
import solverbench


@solverbench.solver("mine", order=1)
def mine(x, path, grid, *, scale: float = 1.0, times: int = 1, tune: bool = False):
    '''Euler in time, scaled.'''
    for s, t in grid.steps:
        x = x + scale * (t - s) * x.predict("velocity", at=s)
    return x
"""
YOURS = """

@solverbench.solver("yours")
def yours(x, path, grid):
    return mine(x, path, grid)
"""


@pytest.fixture(name="small")
def small_suite(request, monkeypatch, tmp_path):
    """Arguments for a run of a suite of small fields into a folder of its own; figures only if parametrised so."""
    monkeypatch.setattr("solverbench.fields.load", lambda name, path=None: small.load(name, path or "edm"))
    if not getattr(request, "param", False):
        monkeypatch.setattr("solverbench.report.render", lambda *_, **__: [])
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return ["--suite", str(path), "--out", str(tmp_path / "reports"), "--in-process", "--no-cache"]


@pytest.fixture
def solverbench(capsys):
    """solverbench(*arguments): the exit code, what went to stdout and what to stderr."""

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=end.value.code, out=out, err=err)

    return call


@pytest.fixture
def write(tmp_path):
    """write(text, name="mine.py"): a file of solvers."""

    def file(text=MINE, name="mine.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return file


@pytest.fixture
def two():
    """The text of a file with two solvers, mine and yours."""
    return MINE + YOURS
