"""The pytest plugin in test suites of others: what it measures, what it fails, in one process and in several."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import torch._dynamo  # noqa: F401  # an inner session forgets what it imported first; torch cannot import this twice

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.gate import samplers

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PLUGIN = "solverbench.gate.plugin"
EULER = """
def euler(denoise, x, sigmas, noise):
    for s, t in zip(sigmas, sigmas[1:]):
        x = x + (t - s) * FACTOR * (x - denoise(x, s)) / s
    return x


euler.order = 1
"""
SUITE = f"""
{EULER.replace("FACTOR *", "")}

def test_order(solver_order):
    assert solver_order(euler).verdict == "as claimed"

def test_law(solver_law):
    assert solver_law(euler, 10).nfe == 10

def test_error(solver_error):
    assert 0 < solver_error(euler, steps=5) < 1

def test_nothing():
    pass
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """suite(*arguments): pytest with the plugin in a folder of its own, warnings errors, markers strict."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for processes that run elsewhere
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings =\n    error\n")

    def run(*arguments, apart=False):
        # where the package is installed its entry point is the same plugin by another name
        always = "-p", "no:solverbench", "-p", "no:benchmark", *map(str, arguments)
        if apart:
            return pytester.runpytest_subprocess("-p", PLUGIN, *always)
        return pytester.runpytest_inprocess(*always, plugins=(import_module(PLUGIN),))

    return run


def test_the_entry_point_is_the_plugin():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    assert points == {"solverbench": PLUGIN}
    assert callable(import_module(PLUGIN).pytest_addoption)


def test_the_plugin_costs_nothing_where_it_is_not_used():
    heavy = "{'numpy', 'scipy', 'torch', 'click', 'solverbench.gate.baseline'} & set(sys.modules)"
    code = f"import sys, pytest; before = {heavy}; import {PLUGIN}; sys.exit(bool({heavy} - before))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def gate(suite, *arguments, **how):
    return suite("--solverbench-baseline", "kept.json", *arguments, **how)


def cells():
    return json.loads(Path("kept.json").read_text())["cells"]


WORSE = ["*euler is worse than in kept.json, law at 10 steps:", "*w2: * before, * now (+*%)"]


def test_a_suite_is_held_to_its_baseline(suite, pytester):
    tests = pytester.makepyfile(SUITE)
    missing = gate(suite)
    assert missing.ret == pytest.ExitCode.USAGE_ERROR
    missing.stderr.fnmatch_lines(["*no baseline kept.json: write it with --solverbench-update*"])

    gate(suite, "--solverbench-update").assert_outcomes(passed=4)
    before = cells()
    measured = [["error", "euler", 5, "ok"], ["law", "euler", 10, "ok"], ["order", "euler", 0, "ok"]]
    assert [line[:4] for line in before] == measured
    same = gate(suite)
    same.assert_outcomes(passed=4)
    same.stdout.fnmatch_lines(["solverbench: 3 measurements, 0 of them not in kept.json before"])

    tests.write_text(SUITE.replace("(t - s) *", "(t - s) * 1.001 *"))
    worse = gate(suite)
    worse.assert_outcomes(passed=1, failed=3)
    worse.stdout.fnmatch_lines(WORSE)
    gate(suite, "--solverbench-update", "-k", "law").assert_outcomes(passed=1)
    assert [a == b for a, b in zip(before, cells(), strict=True)] == [True, False, True]  # what was not run stays


def test_workers_of_xdist_are_held_to_it_and_one_process_writes_it(suite, pytester):
    pytest.importorskip("xdist")
    tests = pytester.makepyfile(SUITE)
    gate(suite, "-n", 2, "--solverbench-update", apart=True).assert_outcomes(passed=4)
    assert [line[0] for line in cells()] == ["error", "law", "order"]
    tests.write_text(SUITE.replace("(t - s) *", "(t - s) * 1.001 *"))
    worse = gate(suite, "-n", 2, apart=True)
    worse.assert_outcomes(passed=1, failed=3)
    worse.stdout.fnmatch_lines(WORSE)


def test_without_a_baseline_the_fixtures_measure(suite, pytester):
    pytester.makepyfile(SUITE + "\ndef test_new(solver_law):\n    solver_law(euler, 3)\n")
    suite().assert_outcomes(passed=5)
    suite("-m", "solverbench").assert_outcomes(passed=4, deselected=1)
    suite("--solverbench-update").stderr.fnmatch_lines(["*--solverbench-update needs --solverbench-baseline*"])


def test_a_number_that_is_new_is_told_and_fails_nothing(suite, pytester):
    pytester.makepyfile(SUITE)
    gate(suite, "--solverbench-update", "-k", "error").assert_outcomes(passed=1)
    later = gate(suite, "-k", "error or law")
    later.assert_outcomes(passed=2)
    later.stdout.fnmatch_lines(["solverbench: 2 measurements*, 1 of them not in kept.json before: *update keeps them"])


def test_a_test_may_have_a_tolerance_of_its_own(suite, pytester):
    marker = "@pytest.mark.solverbench(rtol=RTOL)"
    marked = f"import pytest\n{EULER}\n{marker}\ndef test_law(solver_law):\n    solver_law(euler)\n"
    tests = pytester.makepyfile(marked.replace("FACTOR", "1").replace("RTOL", "1e-9"))
    gate(suite, "--solverbench-update").assert_outcomes(passed=1)
    for rtol, outcome in (("1e-9", "failed"), ("1e-2", "passed")):
        tests.write_text(marked.replace("FACTOR", "1.000001").replace("RTOL", rtol))
        gate(suite).assert_outcomes(**{outcome: 1})


def test_a_file_that_is_no_baseline_is_a_usage_error(suite, pytester):
    pytester.makepyfile(SUITE)
    Path("kept.json").write_text("{}")
    broken = gate(suite)
    assert broken.ret == pytest.ExitCode.USAGE_ERROR
    broken.stderr.fnmatch_lines(["*kept.json is not a baseline*"])


def test_the_readme_s_example_gates_a_scheduler_of_diffusers(suite, pytester):
    diffusers = pytest.importorskip("diffusers")
    page = (ROOT / "README.md").read_text("utf-8")
    (example,) = (part.split("```")[0] for part in page.split("```python\n") if part.startswith("# test_samplers.py"))
    assert len(example.strip().splitlines()) == 6  # its name, and five lines
    pytester.makepyfile(example)
    for name in filter(re.compile("Scheduler$").search, dir(diffusers)):
        getattr(diffusers, name)  # loads it: what an inner session has loaded first is forgotten with it
    gate(suite, "--solverbench-update").assert_outcomes(passed=1)
    gate(suite).assert_outcomes(passed=1)
    assert {(line[1], line[2]) for line in cells()} == {
        ("diffusers:DEISMultistep(solver_order=2)", 20), ("diffusers:DEISMultistep(solver_order=2)", 0)
    }  # fmt: skip


def test_ours_by_name_as_an_object_and_as_a_function_are_one():
    solver = sb.solvers()["unipc-2"]
    names = {samplers.find(given).name for given in ("unipc-2", solver, solver.function)}
    assert names == {"unipc-2"}


def test_a_peer_is_the_solver_of_ours_that_it_equals():
    pytest.importorskip("diffusers")
    options = "algorithm_type=dpmsolver++, solver_order=2, solver_type=midpoint"
    theirs = samplers.find(f"diffusers:DPMSolverMultistep({options})")
    ours = samplers.find("dpmpp-2m")
    assert samplers.law(theirs, 8).w2 == pytest.approx(samplers.law(ours, 8).w2, rel=1e-9)
    assert samplers.error(theirs, 8) == pytest.approx(samplers.error(ours, 8), rel=1e-9)


def test_a_file_s_sampler(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(EULER.replace("FACTOR *", ""))
    found = samplers.find(str(file))
    assert (found.name, found.order) == ("mine.py:euler", 1)
    assert samplers.law(found, 7).w2 == pytest.approx(samplers.law(samplers.find("ddim"), 7).w2, rel=1e-9)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("dpmp-2m", "unknown solver 'dpmp-2m'.*dpmpp-2m"),
        ("diffusers:DEISMultistep", "has several samplers, name one: DEISMultistep.solver_order=1.*"),
        ("diffusers:DEIS", "no sampler 'DEIS'"),
        ("missing.py", "no such file"),
    ],
)
def test_what_is_no_sampler(wanted, message):
    if wanted.startswith("diffusers"):
        pytest.importorskip("diffusers")
    with pytest.raises(UsageError, match=message):
        samplers.find(wanted)


def test_a_sampler_without_a_process_has_no_error():
    with pytest.raises(UsageError, match="follows no process"):
        samplers.error(samplers.find("dpm-2-churn[s_churn=5.0]"), 5)
