"""action.yml does what it says: its steps' commands are run, as GitHub runs them, in an environment of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
SUITE = """
schema = 1
name = "tiny"
nfe = [3]
solvers = ["ddim", "heun"]

[[problems]]
name = "gaussian"
field = "cifar10-gaussian"
kind = "law"
pictures = false
"""
MINE = """
import solverbench as sb

@sb.solver("mine", order=1)
def mine(x, path, grid):
    for s, t in grid.steps:
        x = x + 1.0 * (t - s) * x.predict("velocity", at=s)
    return x
"""


@pytest.fixture
def job(tmp_path, monkeypatch):
    """job(python, **inputs): the action's `run` steps one after the other, in a folder like a checkout."""
    monkeypatch.chdir(tmp_path)

    def run(python, *, steps=("Install", "Check"), **inputs):
        given = {name: entry["default"] for name, entry in ACTION["inputs"].items()} | {
            name.replace("_", "-"): value for name, value in inputs.items()
        }
        summary, output = tmp_path / "summary.md", tmp_path / "output"
        output.write_text("")
        around = {
            **os.environ,
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_OUTPUT": str(output),
        }
        for step in ACTION["runs"]["steps"]:
            if step.get("name") not in steps:
                continue
            env = {key: _evaluated(value, given) for key, value in step.get("env", {}).items()}
            script = tmp_path / "step.sh"
            script.write_text(step["run"])
            done = subprocess.run(  # what `shell: bash` is on GitHub
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
                env=around | env, capture_output=True, text=True,
            )  # fmt: skip
            if done.returncode:
                break
        said = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, outputs=said, summary=summary)

    return run


def _evaluated(text, inputs):
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)


@pytest.fixture
def python(tmp_path, monkeypatch):
    """The interpreter at hand by the name of `python`."""
    (tmp_path / "bin").mkdir()
    shim = tmp_path / "bin" / "python"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    shim.chmod(0o755)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return shim


def save(python, *more):
    Path("tiny.toml").write_text(SUITE)
    command = [str(python), "-m", "solverbench", "baseline", "save", "--suite", "tiny.toml", "--in-process", *more]
    subprocess.run(command, check=True, capture_output=True)


def test_every_input_is_used_and_every_step_has_a_shell():
    text = (ROOT / "action.yml").read_text("utf-8")
    for name, entry in ACTION["inputs"].items():
        assert entry["description"]
        assert f"inputs.{name}" in text
    for step in ACTION["runs"]["steps"]:
        assert ("run" in step) == ("shell" in step) != ("uses" in step)
        assert "inputs." not in step.get("run", "")  # by the environment: an input is never a program
    ids = {step.get("id") for step in ACTION["runs"]["steps"]}
    used = re.findall(r"steps\.([\w-]+)\.", "".join(entry["value"] for entry in ACTION["outputs"].values()))
    assert set(used) <= ids


def test_its_check_passes_and_fails(job, python):
    save(python)
    fine = job(python, steps=["Check"], suite="tiny.toml")
    assert (fine.code, fine.outputs) == (0, {"exit-code": "0"}), fine.err
    assert "0 worse, 0 better, 0 new, of 2 cells" in fine.summary.read_text()
    assert ElementTree.parse("solverbench-junit.xml").getroot().find("testsuite").get("tests") == "2"

    kept = Path("solverbench-baseline.json")
    line = re.search(r'"w2": ([\d.]+)', kept.read_text())
    kept.write_text(kept.read_text().replace(line[0], f'"w2": {float(line[1]) * 1.01}', 1))  # it was worse: now better
    Path("mine.py").write_text(MINE)
    strict = job(python, steps=["Check"], strict="true", junit="other.xml", solvers="mine.py")
    assert (strict.code, strict.outputs) == (1, {"exit-code": "1"}), strict.err
    assert "| better" in strict.summary.read_text()
    assert ElementTree.parse("other.xml").getroot().find("testsuite").get("failures") == "1"
    assert "twins" in strict.out  # the contract of mine.py, too


def test_its_check_without_a_baseline_is_code_four(job, python):
    none = job(python, steps=["Check"], baseline="nowhere.json")
    assert (none.code, none.outputs) == (4, {"exit-code": "4"})
    assert "no baseline nowhere.json" in none.err


@pytest.mark.slow
def test_it_runs_in_a_clean_environment(job, tmp_path, monkeypatch):
    """All steps, installing this checkout as a user's job installs a release."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PIP_CONSTRAINT", str(ROOT / "constraints.txt"))
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "clean")], check=True)
    python = tmp_path / "clean" / "bin" / "python"
    missing = job(python, steps=["Check"])
    assert missing.code == 1
    assert "No module named solverbench" in missing.err
    installed = job(python, steps=["Install"], version=str(ROOT))
    assert installed.code == 0, installed.err
    save(python)
    done = job(python, version=str(ROOT), suite="tiny.toml")
    assert (done.code, done.outputs) == (0, {"exit-code": "0"}), done.err
