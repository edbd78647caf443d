"""A suite file of small fields, and a registry that forgets what a test registers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from solverbench.fields.gaussian import PrincipalGaussian
from solverbench.fields.mixture import Mixture
from solverbench.methods import SOLVERS, user
from solverbench.run import cells, runner, store, suite

D = 12
SUITE = """
schema = 1
name = "small"
title = "Small fields"
nfe = [3, 6]
solvers = ["ddim", "dpmpp-1", "heun", "unipc-2[variant=bh1]", "ddpm"]

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

[quick]
nfe = [4]
solvers = ["ddim"]

[quick.problems.mixture]
samples = 4
"""


def small_field(name, path="edm"):
    """What stands in for the shipped fields."""
    if name == "cifar10-gaussian":
        lift = np.eye(D)[:, :5]
        return PrincipalGaussian(np.zeros(D), np.linspace(0.01, 1, D), lift, path, picture_shape=(3, 2, 2))
    means = np.random.default_rng(5).normal(size=(2, 3, 2, 2)) / 2
    return Mixture([0.6, 0.4], means, variances=[0.05, 0.1], path=path)


@pytest.fixture
def small_fields(monkeypatch):
    """Replace the shipped fields; the names in the dictionary returned can be replaced by others."""
    instead = {}
    monkeypatch.setattr("solverbench.fields.load", lambda name, path: instead.get(name) or small_field(name, path))
    return instead


@pytest.fixture
def mixture():
    """The small mixture."""
    return small_field("cifar10-mixture")


@pytest.fixture
def suite_file(tmp_path):
    """suite_file(): the path of the suite above; suite_file("old", "new"): with a text replaced."""

    def write(old="", new=""):
        assert old in SUITE
        path = tmp_path / "small.toml"
        path.write_text(SUITE.replace(old, new) if old else SUITE)
        return str(path)

    return write


@pytest.fixture
def run(small_fields, suite_file, tmp_path):
    """run(name, **filters): run the small suite and return its outcome, records and messages."""

    def go(name="first", *, edit=("", ""), quick=False, **filters):
        loaded = suite.load(suite_file(*edit), quick=quick)
        selection = cells.select(loaded, **filters)
        folder = store.RunFolder(tmp_path / "reports", loaded.name, name)
        said, done = [], []
        outcome = runner.run(loaded, selection, folder, say=said.append, done=done.append)
        lines = Path(folder.path, "cells.jsonl").read_text().splitlines()
        return SimpleNamespace(
            outcome=outcome, folder=folder.path, records=[json.loads(s) for s in lines], said=said, done=done,
            selection=selection, manifest=json.loads(Path(folder.path, "manifest.json").read_text()),
        )  # fmt: skip

    return go


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
