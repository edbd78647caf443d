"""A suite file of small fields, and runs of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import small

from solverbench.run import cells, runner, store, suite

SUITE = f"""
schema = 1
name = "small"
title = "Small fields"
nfe = [3, 6]
solvers = ["ddim", "dpmpp-1", "heun", "unipc-2[variant=bh1]", "ddpm"]
{small.PROBLEMS}
[quick]
nfe = [4]
solvers = ["ddim"]

[quick.problems.mixture]
samples = 4
"""


@pytest.fixture
def small_fields(monkeypatch):
    """Replace the shipped fields; the names in the dictionary returned can be replaced by others."""
    instead = {}

    def load(name, path):
        return instead.get(name) or small.load(name, path or "edm")

    monkeypatch.setattr("solverbench.fields.load", load)
    return instead


@pytest.fixture
def mixture():
    """The small mixture."""
    return small.mixture()


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

    def go(name="first", *, edit=("", ""), scale="full", **filters):
        loaded = suite.load(suite_file(*edit), scale=scale)
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
