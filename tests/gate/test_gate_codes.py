"""The gate's exit codes, by the command line in a process of its own, as CI sees them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

SUITE = """
schema = 1
name = "tiny"
nfe = [3]
solvers = ["ddim", "heun"]
[[problems]]
name = "law"
field = "spectrum.npy"
kind = "law"
"""
MINE = """
import os, pathlib, time
import solverbench


@solverbench.solver("mine")
def mine(x, path, grid):
    if os.environ.get("DO") == "raise" and len(grid) == 3:
        raise ZeroDivisionError
    if os.environ.get("DO") == "hang" and len(grid) == 3:
        pathlib.Path("hangs").touch()
        time.sleep(1000)
    for s, t in grid.steps:
        x = x + float(os.environ.get("FACTOR", "1")) * (t - s) * x.predict("velocity", at=s)
    return x
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    """command(*arguments): the words of a verb of the gate, in a folder with a suite and a solver of its own."""
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.chdir(tmp_path)
    np.save("spectrum.npy", np.linspace(0.1, 1, 4))
    Path("tiny.toml").write_text(SUITE)
    Path("mine.py").write_text(MINE)
    return lambda *words: [sys.executable, "-m", "solverbench", *words]


SAVE = ("baseline", "save", "--suite", "tiny.toml", "--jobs", "1")


def test_every_exit_code(command, monkeypatch):
    def code(*words, **environment):
        with monkeypatch.context() as around:
            for name, value in environment.items():
                around.setenv(name, value)
            return subprocess.run(command(*words), capture_output=True, timeout=300, check=False).returncode

    assert code("check", "--in-process") == 4
    assert code(*SAVE, "--solver", "mine.py", "--nfe", "3", DO="raise") == 3
    assert code(*SAVE, "--solver", "flow-map", "--solver", "mine.py:none") == 2
    assert code(*SAVE, "--solver", "mine.py", "--solver", "heun") == 0
    assert code("check", "--in-process") == 0
    assert code("check", "--in-process", FACTOR="0.9") == 1
    assert code("check", "--jobs", "1", DO="raise") == 3
    assert code("check", "--stricter") == 2
    kept = Path("solverbench-baseline.json")
    table = json.loads(kept.read_text())
    kept.write_text(json.dumps(table | {"asked": table["asked"] | {"suite": "ci", "solvers": []}}))
    assert code("check", "--in-process") == 4

    words = command(*SAVE, "--out", "other.json", "--solver", "mine.py")
    process = subprocess.Popen(words, stderr=subprocess.PIPE, env={**os.environ, "DO": "hang"})
    end = time.monotonic() + 120
    while not Path("hangs").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.decode().splitlines()[-1]) == (130, "interrupted")


def test_nothing_selected_is_code_five(command):
    Path("tiny.toml").write_text(SUITE.replace("spectrum.npy", "cifar10-mixture").replace('"law"\n', '"paired"\n'))
    done = subprocess.run(command(*SAVE, "--solver", "flow-map"), capture_output=True, text=True, check=False)
    assert (done.returncode, "nothing selected" in done.stderr) == (5, True)
