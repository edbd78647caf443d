"""The command line in this process, small fields, and a registry that forgets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from solverbench.cli import main
from solverbench.fields.gaussian import PrincipalGaussian
from solverbench.fields.mixture import Mixture
from solverbench.methods import SOLVERS, user

SUITE = """
schema = 1
name = "small"
nfe = [3, 6]
solvers = ["ddim", "heun", "ddpm"]

[[problems]]
name = "gaussian"
field = "cifar10-gaussian"
kind = "law"

[[problems]]
name = "mixture"
field = "cifar10-mixture"
kind = "paired"
samples = 6
paired = 2
rtol = 1e-6
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


def _field(name, path="edm"):
    if name == "cifar10-gaussian":
        lift = np.eye(12)[:, :5]
        return PrincipalGaussian(np.zeros(12), np.linspace(0.01, 1, 12), lift, path, picture_shape=(3, 2, 2))
    means = np.random.default_rng(5).normal(size=(2, 3, 2, 2)) / 2
    return Mixture([0.6, 0.4], means, variances=[0.05, 0.1], path=path)


@pytest.fixture
def small(request, monkeypatch, tmp_path):
    """Arguments for a run of a suite of small fields into a folder of its own; figures only if parametrised so."""
    monkeypatch.setattr("solverbench.fields.load", _field)
    if not getattr(request, "param", False):
        monkeypatch.setattr("solverbench.report.render", lambda *_, **__: [])
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return ["--suite", str(path), "--out", str(tmp_path / "reports")]


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


@pytest.fixture(autouse=True)
def forgetful_registry():
    """Solvers, files and entry points that a test adds are gone after it."""
    before, files, points = set(SOLVERS), dict(user._LOADED), set(user._POINTS)
    yield
    for name in set(SOLVERS) - before:
        SOLVERS.discard(name)
    user._LOADED.clear()
    user._LOADED.update(files)
    user._POINTS.clear()
    user._POINTS.update(points)
