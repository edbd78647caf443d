"""The gate fires on what is worse, and on nothing else: planted faults, seeds, files that are no baselines."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
import small
from planted import FAULTS, planted
from scipy.stats import binom

import solverbench as sb
from solverbench.cli import main
from solverbench.gate import outputs
from solverbench.gate.baseline import Baseline, Entry, NoBaselineError
from solverbench.gate.measure import measure
from solverbench.gate.verdict import ALARMS, findings, regressions, renewed
from solverbench.problems.base import ProblemSpec, build
from solverbench.run import suite as suites
from solverbench.run.bench import Bench
from solverbench.run.cells import Cell, select
from solverbench.run.runner import InProcess

EXACT = {"nfe": 5.0, "w2": 0.25, "kl": 3.0}
SUITE = """
schema = 1
name = "small"
nfe = [3, 6]
solvers = ["ddim", "heun", "dpmpp-*", "ddpm"]
{problems}
"""


def entry(solver="ddim", status="ok", exact=EXACT, sampled=None):
    return Entry("p", solver, 5, status, dict(exact), sampled or {})


def verdicts(a, b):
    return [(f.solver, f.quantity, f.verdict) for f in findings(a, b)]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"w2": 0.25 * (1 + 5e-10)}, None),
        ({"w2": 0.25 * (1 - 5e-10)}, None),
        ({"w2": 0.25 * (1 + 2e-9)}, "worse"),
        ({"w2": 0.25 * (1 - 2e-9)}, "better"),
        ({"nfe": 6.0}, "worse"),
        ({"w2": math.nan}, "worse"),
    ],
)
def test_exact_numbers(change, verdict):
    found = verdicts([entry()], [entry(exact=EXACT | change)])
    assert found == ([("ddim", next(iter(change)), verdict)] if verdict else [])


def test_a_number_that_is_gone_or_new_is_seen():
    less = {k: v for k, v in EXACT.items() if k != "kl"}
    assert (
        verdicts([entry()], [entry(exact=less)])
        == verdicts([entry(exact=less)], [entry()])
        == [("ddim", "kl", "worse")]
    )


def test_distances_of_rounding_are_not_compared():
    assert not verdicts([entry(exact={"w2": 1e-13})], [entry(exact={"w2": 9e-13})])


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("ok", "diverged", "worse"),
        ("ok", "failed", "worse"),
        ("diverged", "ok", "better"),
        ("skipped", "skipped", None),
    ],
)
def test_a_status_that_changes(before, after, verdict):
    found = verdicts([entry(status=before)], [entry(status=after)])
    assert found == ([("ddim", "status", verdict)] if verdict else [])


def test_a_finding_in_words():
    worse, lost = findings([entry(exact={"w2": 0.25}), entry("heun")], [entry(exact={"w2": 0.5})])
    assert str(worse) == "w2: 0.25 before, 0.5 now (+100 %)"
    assert str(lost) == "status: ok before, missing now (-)"


def test_cells_that_are_missing():
    assert verdicts([entry(), entry("heun")], [entry()]) == [("heun", "status", "worse")]
    assert verdicts([entry()], [entry(), entry("heun")]) == [("heun", "status", "new")]
    assert not regressions(findings([entry()], [entry(), entry("heun")]), strict=True)


def test_an_update_leaves_lines_in_which_nothing_changed():
    """A file computed on another machine differs in last digits everywhere; its diff should not."""
    made = Baseline({}, "suite", {}, ())
    rounding = entry(exact=EXACT | {"w2": 0.25 * (1 + 1e-13)})
    changed, new = entry("heun", exact=EXACT | {"w2": 0.3}), entry("rk4")
    before = replace(made, entries=(entry(), entry("heun"), entry("gone")))
    now = replace(made, entries=(rounding, changed, new))
    assert renewed(before, now).entries == (entry(), changed, new)
    assert renewed(replace(before, suite_hash="other"), now) == now


def test_where_a_baseline_was_saved_is_told():
    here, there = ({"versions": {"numpy": v, "pandas": v}, "hardware": {"cpu": "Z80"}} for v in ("2.4", "2.5"))
    told = Baseline({}, "", here, ()).elsewhere(Baseline({}, "", there, ()))
    assert told == ["numpy 2.4, now 2.5"]


def test_false_alarms_are_as_rare_as_stated():
    """400 tables of 30 normal means each, of 8 to 64 samples: nothing is different but the draws."""
    rng = np.random.default_rng(7)

    def table():
        n = rng.integers(8, 64, size=30)
        samples = [rng.normal(1.0, 0.3, size=k) for k in n]
        return [
            entry(f"s{i}", sampled={"rmse": (x.mean(), x.std(ddof=1) / math.sqrt(len(x)), len(x))})
            for i, x in enumerate(samples)
        ]

    alarms = sum(any(f.verdict == "worse" for f in findings(table(), table())) for _ in range(400))
    assert alarms <= binom.ppf(0.999, 400, ALARMS)


def test_a_sampled_number_that_is_worse_by_far_is_seen_among_many():
    before = [entry(f"s{i}", sampled={"rmse": (1.0, 0.05, 48)}) for i in range(100)]
    after = [entry(f"s{i}", sampled={"rmse": (1.5 if i == 7 else 1.02, 0.05, 48)}) for i in range(100)]
    assert verdicts(before, after) == [("s7", "rmse", "worse")]
    assert verdicts(after, before) == [("s7", "rmse", "better")]


FOR_THE_BETTER = [("ddpm", "a tenth too little noise"), ("dpmpp-2s-ancestral", "a dropped factor in the noise")]
"""These make the law more accurate at every budget of `judged`, so only a gate on any change can see them."""


def judged(problem, solver, budgets=(5, 10, 100)):
    bench = Bench(lambda event: None)
    return [Entry.of(bench.finish(Cell(problem, solver, budget, 0)).record) for budget in budgets]


@pytest.fixture
def law(monkeypatch):
    """A law problem on the small Gaussian."""
    monkeypatch.setattr("solverbench.fields.load", lambda name, path=None: small.gaussian(path or "edm"))
    return build(ProblemSpec("gaussian", "cifar10-gaussian", "law"), 0)


@pytest.mark.parametrize(("name", "old", "new", "what"), FAULTS, ids=[f"{n}: {w}" for n, *_, w in FAULTS])
def test_the_gate_fires_on_planted_faults(law, name, old, new, what, monkeypatch):
    sound = sb.solvers()[name]
    faulty = replace(planted(name, old, new, monkeypatch), name=name)
    assert not findings(judged(law, sound), judged(law, sound))
    found = findings(judged(law, sound), judged(law, faulty))
    assert regressions(found, strict=True), what
    assert bool(regressions(found)) != ((name, what) in FOR_THE_BETTER), what


@pytest.fixture(scope="module")
def of_ci():
    """The law problem of suite `ci`, and its budgets."""
    loaded = suites.load("ci")
    (spec,) = (problem for problem in loaded.problems if problem.kind == "law")
    return build(spec, 0), loaded.nfe


@pytest.mark.parametrize(
    ("name", "old", "new", "what"),
    [pytest.param(*fault, marks=pytest.mark.slow) if place else fault for place, fault in enumerate(FAULTS)],
    ids=[f"{n}: {w}" for n, *_, w in FAULTS],
)
def test_suite_ci_sees_planted_faults(of_ci, name, old, new, what, monkeypatch):
    """Where they are for the better at all of its budgets, as `--strict`, by which this repository gates itself."""
    problem, budgets = of_ci
    sound = judged(problem, sb.solvers()[name], budgets)
    found = findings(sound, judged(problem, replace(planted(name, old, new, monkeypatch), name=name), budgets))
    assert regressions(found, strict=True), what
    print(f"{'worse' if regressions(found) else 'better, seen by --strict'}")


@pytest.mark.parametrize("name", ["dpmpp-2m", "unipc-3", "rk8", "ddpm", "er-sde-3", "exp-ab4"])
def test_a_part_in_ten_thousand_of_any_coefficient_is_seen(law, name):
    """Whichever coefficient of the plan it is; it may be for the better at one budget, by luck, but it is seen."""
    from solverbench.engines.law import kernel
    from solverbench.measures.gaussians import w2
    from solverbench.plans import LinComb

    plan = sb.plan(name, "edm", law.grid(6), prediction="x0")
    chance = random.Random(3)
    m, v = law.field.moments(float(plan.grid.times[0]))
    before = w2(*kernel(plan, law.field).push(m, v), *law.field.moments(0.0))
    places = [(k, j) for k, i in enumerate(plan.code) if isinstance(i, LinComb) for j in range(len(i.terms))]
    for k, j in chance.sample(places, min(6, len(places))):
        terms = list(plan.code[k].terms)
        terms[j] = terms[j][0], terms[j][1] * (1 + 1e-4)
        code = (*plan.code[:k], LinComb(tuple(terms)), *plan.code[k + 1 :])
        after = w2(*kernel(replace(plan, code=code), law.field).push(m, v), *law.field.moments(0.0))
        assert abs(after / before - 1) > 1e-9, (k, j)


@pytest.fixture
def gate(capsys, monkeypatch, tmp_path):
    """gate(*arguments): the command line in this process, on a suite of small fields."""
    monkeypatch.setattr("solverbench.fields.load", lambda name, path=None: small.load(name, path or "edm"))
    problems = small.PROBLEMS.replace("samples = 6", "samples = 16").replace("paired = 2", "paired = 12")
    (tmp_path / "small.toml").write_text(SUITE.format(problems=problems))

    def call(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments), *(["--in-process"] if arguments[1] != "show" else [])])
        out, err = capsys.readouterr()
        return SimpleNamespace(code=end.value.code, out=out, err=err)

    return call


@pytest.fixture
def kept(gate, tmp_path):
    """A baseline of it."""
    path = tmp_path / "baseline.json"
    assert gate("baseline", "save", "--suite", tmp_path / "small.toml", "--out", path).code == 0
    return path


def test_unchanged_code_passes_and_the_file_is_the_same(gate, kept, tmp_path):
    checked = gate("check", "--baseline", kept)
    assert (checked.code, checked.out.splitlines()[0][:18]) == (0, "0 worse, 0 better,")
    before = json.loads(kept.read_text())["cells"]
    assert gate("baseline", "update", kept).code == 0
    assert json.loads(kept.read_text())["cells"] == before
    assert len(kept.read_text().splitlines()) > len(before)  # one a line
    assert "seconds" not in kept.read_text().split('"cells"')[1]


@pytest.mark.parametrize("pairs", [3, pytest.param(200, marks=pytest.mark.slow)])
def test_other_seeds_change_no_exact_number_and_rarely_alarm(gate, tmp_path, pairs):
    """Two seeds a pair and no seed in two pairs, so that alarms are independent and a binomial bound is one."""
    loaded = suites.load(str(tmp_path / "small.toml"))

    def entries(seed):
        return measure(loaded, select(loaded, seed=seed), {}, InProcess(), lambda record: None).entries

    alarms = {"worse": 0, "better": 0}
    for pair in range(pairs):
        found = findings(entries(2 * pair + 1), entries(2 * pair + 2))
        assert not [f for f in found if f.p is None]
        for side in alarms:
            alarms[side] += any(f.verdict == side for f in found)
    print(f"{pairs} pairs of seeds, tables with an alarm: {alarms}")
    assert max(alarms.values()) <= binom.ppf(0.999, pairs, ALARMS)


def test_a_regression_is_said_in_every_form(gate, kept, tmp_path):
    table = json.loads(kept.read_text())
    cell = next(line for line in table["cells"] if line[:3] == ["gaussian", "ddim", 3])
    cell[4]["w2"] *= 0.9  # it was better, it seems
    other = next(line for line in table["cells"] if line[:3] == ["gaussian", "heun", 6])
    other[4]["kl"] *= 1.1
    kept.write_text(json.dumps(table))
    junit, summary = tmp_path / "junit.xml", tmp_path / "summary.md"
    summary.write_text("# Job\n\n")
    checked = gate("check", "--baseline", kept, "--junit", junit, "--markdown", summary)
    assert checked.code == 1
    assert checked.out.splitlines()[2].split()[:5] == ["worse", "gaussian", "ddim", "3", "w2"]
    assert "+11.1 %" in checked.out
    assert "1 worse, 1 better" in checked.out
    assert summary.read_text().startswith("# Job\n\n| verdict")
    root = ElementTree.parse(junit).getroot()
    suite = root.find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == (str(len(table["cells"])), "1")
    assert [c.get("name") for c in suite if c.find("failure") is not None] == ["ddim at 3"]


def test_a_file_of_solvers_is_gated(gate, tmp_path):
    mine, kept = tmp_path / "mine.py", tmp_path / "b.json"
    text = (
        "import solverbench\n@solverbench.solver('mine', order=1)\ndef mine(x, path, grid):\n"
        "    for s, t in grid.steps:\n        x = x + 1.0 * (t - s) * x.predict('velocity', at=s)\n    return x\n"
    )
    mine.write_text(text)
    saved = gate("baseline", "save", "--suite", tmp_path / "small.toml", "--solver", mine, "--out", kept)
    assert saved.code == 0
    assert gate("check", "--baseline", kept).code == 0
    mine.write_text(text.replace("1.0 *", "1.001 *"))
    from solverbench.methods import SOLVERS, user

    SOLVERS.discard("mine")
    user._LOADED.clear()
    checked = gate("check", "--baseline", kept)
    assert checked.code == 1
    assert "mine" in checked.out


def test_what_fails_is_not_kept_and_is_code_three(gate, tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import solverbench\n@solverbench.solver('bad')\ndef bad(x, path, grid):\n    raise ZeroDivisionError\n"
    )
    saved = gate("baseline", "save", "--suite", tmp_path / "small.toml", "--solver", bad, "--out", tmp_path / "b.json")
    assert saved.code == 3
    assert "cells failed, of bad" in saved.err
    assert not (tmp_path / "b.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no baseline .*: make one with"),
        ("", "is not a baseline"),
        ("[]", "is not a baseline"),
        ('{"schema": 1}', "is not a baseline"),
        ('{"schema": 1, "asked": {"suite": "ci"}, "suite_hash": "", "made": {}, "cells": []}', "KeyError: 'scale'"),
        ('{"schema": 7}', "has schema 7, this version reads 1"),
    ],
)
def test_files_that_are_no_baselines(tmp_path, text, message):
    path = tmp_path / "b.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NoBaselineError, match=message) as error:
        Baseline.read(path)
    assert error.value.exit_code == 4


@pytest.mark.parametrize("verb", [["check", "--baseline"], ["baseline", "update"]])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solvers": [5]}, "nothing is run with solvers [5]"),
        ({"nfe": "x"}, "nothing is run with nfe 'x'"),
        ({"frob": 1}, "does not say what was asked for"),
    ],
)
def test_an_altered_baseline_is_one_error(gate, kept, verb, change, message):
    table = json.loads(kept.read_text())
    table["asked"] |= change
    kept.write_text(json.dumps(table))
    shown = gate(*verb, kept)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err


def test_a_baseline_of_something_else(gate, kept, tmp_path):
    other = gate("check", "--baseline", kept, "--suite", "ci")
    assert (other.code, "is of suite" in other.err) == (4, True)
    (tmp_path / "small.toml").write_text((tmp_path / "small.toml").read_text() + "\n# changed\n")
    changed = gate("check", "--baseline", kept)
    assert (changed.code, "has changed since" in changed.err) == (4, True)


def test_a_baseline_is_not_overwritten_and_can_be_shown(gate, kept, tmp_path):
    again = gate("baseline", "save", "--suite", tmp_path / "small.toml", "--out", kept)
    assert (again.code, "baseline update" in again.err) == (2, True)
    shown = gate("baseline", "show", kept)
    assert shown.code == 0
    assert "dpmpp-2m" in shown.out
    assert len(json.loads(gate("baseline", "show", kept, "--json").out)) == len(json.loads(kept.read_text())["cells"])


def test_names_are_escaped_in_xml():
    found = findings([entry('<b>"&')], [entry('<b>"&', exact=EXACT | {"w2": 1.0})])
    root = ElementTree.fromstring(outputs.junit(regressions(found), [entry('<b>"&')], 1.0))
    assert root.find("testsuite/testcase").get("name") == '<b>"& at 5'
