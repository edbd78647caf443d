"""tests/gpu/measure.py, run whole on small sizes with launches on the host: it must not be tried on a GPU first."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "gpu" / "measure.py"
pytestmark = pytest.mark.skipif(bool(os.environ.get("SANITIZED")), reason="needs kernels that build leaves out")


@pytest.fixture
def script(monkeypatch):
    """The script as a module."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("measure", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "measure", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bench(script, host, monkeypatch):
    """The host as the device, and sizes that take no time."""
    small = script.Sizes(
        samples=1, d=24, copies=(1 << 12,), features=(40, 6), budgets=(2,), solvers=9, batches=(2,), steps=4
    )
    monkeypatch.setattr(script, "sets_of", lambda size: 2)
    monkeypatch.setattr(script.page, "__defaults__", (small, None, 85.0))
    return script.Bench(host, "cpu", repeats=1)


def results(text):
    """The rows of a page: those that have a time, and those that do not."""
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    return [row for row in rows if "| - " not in row], [row for row in rows if "| - " in row]


def test_every_row_but_the_captured_ones(script, bench, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    out = tmp_path / "page.md"
    text = script.page(bench, out=out)
    assert out.read_text("utf-8") == text
    done, failed = results(text)
    assert len(done) == 36
    assert all("captured" in row or "a step: diffusers" in row for row in failed), failed
    differences = [float(cell) for row in done if "e" in (cell := row.split("|")[-2].strip())]
    assert len(differences) == 7
    assert max(differences) < 1e-5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_diffusers_beside_ours(script, bench, monkeypatch):
    pytest.importorskip("diffusers")
    monkeypatch.setattr(script, "SECTIONS", (script.steps,))
    done, failed = results(script.page(bench))
    assert len(done) == 6
    assert all("diffusers " in row for row in done)
    assert all("captured" in row for row in failed), failed


def test_a_failure_costs_its_row_and_time_runs_out(script, bench, monkeypatch):
    def broken(*_):
        raise RuntimeError("no | such\nkernel")

    monkeypatch.setattr(script, "combine", broken)
    monkeypatch.setattr(script, "SECTIONS", (script.copies, script.combinations, script.laws))
    text = script.page(bench)
    assert "RuntimeError: no / such kernel" in text
    assert "| packing the plans" in text
    assert script.page(bench, limit=-1).count("left out: no time left") > 20


@pytest.mark.parametrize(("seconds", "text"), [(1.5, "1.5 s"), (0.0021, "2.1 ms"), (3e-6, "3 us"), (float("nan"), "-")])
def test_durations(script, seconds, text):
    assert script.duration(seconds) == text
