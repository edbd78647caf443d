"""`compare`: a solver against others with no more work than needed, and two runs."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from small import told

from solverbench.report import load
from solverbench.report.changes import changes
from solverbench.report.duel import duels
from solverbench.report.duel import verdicts as judged
from solverbench.report.quantities import RMSE

BETTER = """
import solverbench
from solverbench.numbers import expm1


@solverbench.solver("mine", order=1)
def mine(x, path, grid):
    for s, t in grid.steps:
        x = path.sigma(t) / path.sigma(s) * x - path.alpha(t) * expm1(path.lam(s) - path.lam(t)) * x.predict("x0", at=s)
    return x
"""


def verdicts(pairs):
    return judged(pairs, RMSE)


@pytest.fixture
def folders(tmp_path):
    """folders(name): where a run of that name is."""
    return lambda name: tmp_path / "reports" / "small" / name


def edited(folder, to, change):
    """A copy of a run with every record changed."""
    shutil.copytree(folder, to)
    lines = [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]
    (to / "cells.jsonl").write_text("".join(json.dumps({**r, **change(r)}) + "\n" for r in lines))
    return to


def test_a_solver_against_others(solverbench, small, write, folders):
    shown = solverbench("compare", write(BETTER), *small, "--against", "ddim,heun", "--name", "r")
    assert shown.code == 0
    assert "gaussian: W2, mine against others by NFE" in shown.out
    assert "ties 2" in shown.out  # it is ddim
    assert shown.out.count("below one is better.") == 1  # of all tables
    assert "below one is better." in (folders("r") / "compare" / "gaussian-w2-mine.md").read_text()
    lines = shown.out.splitlines()
    rows = lines[lines.index("gaussian: W2, mine against others by NFE") + 4 :][:2]
    assert {len(row.split()) for row in rows} == {5}  # signs and ratios: what is computed has no interval
    assert "mine is the same program as" in shown.err
    assert "12 cells run, 0 reused" in shown.err
    rows = duels(load(folders("r")), ["mine"])
    assert set(rows.loc[rows["against"] == "ddim", "verdict"]) == {"ties"}
    assert json.loads((folders("r") / "manifest.json").read_text())["mine"] == ["mine"]
    assert {f.name for f in (folders("r") / "compare").glob("*.md")} >= {"gaussian-w2-mine.md", "mixture-rmse-mine.md"}


def test_only_what_is_missing_is_run(solverbench, small, write, folders, monkeypatch, tmp_path):
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(tmp_path / "cache"))
    small.remove("--no-cache")
    before = solverbench("run", *small, "--name", "base", "--json", "--solver", "ddim", "--solver", "heun")
    shown = solverbench("compare", write(BETTER.replace("* x.predict", "* 1.001 * x.predict")), *small, "--against",
                        "ddim,heun", "--name", "r")  # fmt: skip
    assert "4 cells run, 8 reused" in shown.err
    reused = {r["cell"]: r for r in told(before.out)}
    lines = [json.loads(line) for line in (folders("r") / "cells.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    assert {r["solver"] for r in lines if not r["reused"]} == {"mine"}
    times = {"seconds", "reused"}
    for line in lines:
        if line["solver"] != "mine":
            was = reused[line["cell"]]
            assert {k: v for k, v in line.items() if k not in times} == {k: v for k, v in was.items() if k not in times}
    assert load(folders("r")).complete


def pairs(a, b, samples=None, samples_b=None):
    """Rows of tidy cells beside each other: (value, standard error) of both."""
    none = [None] * len(a)
    rows = pd.DataFrame({"rank": [v for v, _ in a], "se": [s for _, s in a], "samples": samples or none})
    other = pd.DataFrame({"rank_b": [v for v, _ in b], "se_b": [s for _, s in b], "samples_b": samples_b or none})
    return rows.join(other).assign(ok=True, ok_b=True, status="ok", status_b="ok")


def test_computed_values_win_tie_and_lose():
    told = verdicts(pairs([(1.0, 0.0), (2.0, 0.0), (1.0, 0.0)], [(2.0, 0.0), (1.0, 0.0), (1 + 1e-10, 0.0)]))
    assert list(told["verdict"]) == ["wins", "loses", "ties"]
    np.testing.assert_allclose(told[["low", "ratio", "high"]].iloc[0].astype(float), 0.5, rtol=1e-7)


def test_sampled_values_are_judged_together():
    """z = 2.2 is significant alone and not among three."""
    sharp = [(1.0, 0.3), (2.1, 0.4)]
    alone = verdicts(pairs(sharp[:1], sharp[1:]))
    assert list(alone["verdict"]) == ["wins"]
    assert alone["high"].iloc[0] < 1 < verdicts(pairs([(1.0, 0.3)], [(1.9, 0.4)]))["high"].iloc[0]
    three = verdicts(pairs([*sharp[:1], (1.0, 0.3), (1.0, 0.3)], [*sharp[1:], (1.0, 0.4), (1.0, 0.4)]))
    assert list(three["verdict"]) == ["ties"] * 3
    assert three["p"].iloc[0] == pytest.approx(3 * alone["p"].iloc[0])


def test_errors_by_start_tell_more_than_their_means():
    rng = np.random.default_rng(0)
    hard = np.exp(rng.normal(0, 0.6, 48))
    a, b = (f * hard * np.exp(rng.normal(0, 0.1, 48)) for f in (1.0, 1.2))
    means = [[(float(np.sqrt(e.mean())), float(e.std() / np.sqrt(48) / 2 / np.sqrt(e.mean())))] for e in (a, b)]
    told, blind = verdicts(pairs(*means, [a], [b])), verdicts(pairs(*means))
    assert (told["verdict"].iloc[0], blind["verdict"].iloc[0]) == ("wins", "ties")
    assert told["low"].iloc[0] < 1.2**-0.5 < told["high"].iloc[0] < 1


def test_who_has_no_number_loses_unless_its_budget_was_too_small():
    rows = pairs([(1.0, 0.1)] * 4, [(1.0, 0.1)] * 4)
    rows["ok_b"], rows["status_b"] = False, ["diverged", "failed", "skipped", "ok"]
    assert list(verdicts(rows)["verdict"]) == ["wins", "wins", None, None]


def test_the_verdicts_keep_their_level():
    """Equals are told apart in one table of twenty, however many comparisons there are."""
    rng = np.random.default_rng(0)
    values = 10 + rng.normal(size=(1000, 2, 9)) * [[0.3], [0.4]]
    tables = (pairs([(v, 0.3) for v in a], [(v, 0.4) for v in b]) for a, b in values)
    told = np.mean([(verdicts(table)["verdict"] != "ties").any() for table in tables])
    assert 0.03 < told < 0.07


def test_two_runs(solverbench, small, folders, tmp_path):
    solverbench("run", *small, "--name", "a", "-q")

    def change(record):
        if (record["solver"], record["budget"]) == ("heun", 3) and record["problem"] == "gaussian":
            return {"w2": record["w2"] * (1 + 1e-8)}
        if record["solver"] == "ddim" and record["problem"] == "mixture":
            return {"rmse": record["rmse"] / 9}
        return {"status": "failed"} if (record["solver"], record["budget"]) == ("ddpm", 6) else {}

    other = edited(folders("a"), folders("b"), change)
    same = changes(load(folders("a")), load(folders("a")))
    assert set(same.rows["change"]) == {"same"}
    assert same.remarks == []
    found = changes(load(folders("a")), load(other))
    changed = found.rows[found.rows["change"] != "same"]
    told = {(r.problem, r.quantity, r.solver, r.budget, r.change) for r in changed.itertuples()}
    assert ("gaussian", "w2", "heun", 3, "worse") in told
    assert {("gaussian", "w2", "ddpm", 6, "worse"), ("gaussian", "kl", "ddpm", 6, "worse")} <= told
    assert {c for p, q, s, _, c in told if (p, q, s) == ("mixture", "rmse", "ddim")} <= {"better"}
    shown = solverbench("compare", folders("a"), other)
    assert shown.code == 0
    assert "What changed" in shown.out
    rows = json.loads(solverbench("compare", folders("a"), other, "--json").out)
    assert len(rows) == len(found.rows)


@pytest.mark.parametrize("which", ["a", "b"])
def test_two_runs_of_which_one_has_no_numbers_by_start(solverbench, small, folders, which):
    """Without them there is no typical error: nothing is said of it but that."""
    for name in ("a", "b"):
        solverbench("run", *small, "--name", name, "-q", "--solver", "heun")
    shutil.rmtree(folders(which) / "arrays")
    found = changes(load(folders("a")), load(folders("b")))
    assert set(found.rows["change"]) == {"same"}
    assert "typical" not in set(found.rows["quantity"])
    other = {"a": "second", "b": "first"}[which]
    assert found.remarks == [f"mixture: typical error is in the {other} run only."]


def test_two_runs_without_a_number_in_common(solverbench, small, folders):
    for name, solver in (("a", "ddim"), ("b", "heun")):
        solverbench("run", *small, "--name", name, "-q", "--solver", solver)
    shown = solverbench("compare", folders("a"), folders("b"))
    assert (shown.code, shown.err) == (4, "")
    assert "of 0 numbers that both runs have" in shown.out
    assert "4 cells are in the first run only" in shown.out
    shown = solverbench("compare", folders("a"), folders("b"), "--json")
    assert (shown.code, shown.out) == (4, "[]\n")


def test_nothing_to_compare_with(solverbench, small, tmp_path):
    shown = solverbench("compare", "ddim", *small, "--against", "ddim")
    assert (shown.code, shown.out) == (5, "")
    assert shown.err == "error: nothing to compare ddim with: name others by --against\n"
    assert not (tmp_path / "reports").exists()


def test_a_legend_is_of_a_table(solverbench, small):
    """A solver of thirteen evaluations a step has no number at three, and says so in no table."""
    three = [*small, "--against", "heun", "--problem", "gaussian", "--nfe", "3"]
    shown = solverbench("compare", "rk8", *three, "--name", "none")
    assert (shown.code, shown.out) == (0, "")
    assert "rk8 3 skipped" in shown.err
    assert "below one is better" in solverbench("compare", "ddim", *three, "--name", "one").out


def test_two_runs_of_other_seeds_or_settings(solverbench, small, folders, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        solverbench("run", *small, "--name", name, "-q", "--solver", "ddim", "--seed", seed)
    found = changes(load(folders("a")), load(folders("b")))
    assert set(found.rows["problem"]) == {"gaussian"}
    assert set(found.rows["change"]) == {"same"}
    assert "mixture is not compared: the seeds differ, so do the starts." in found.remarks
    path = folders("b") / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["seed"] = 0
    manifest["problems"][1]["samples"] = 99
    path.write_text(json.dumps(manifest))
    remarks = changes(load(folders("a")), load(folders("b"))).remarks
    assert "mixture is not compared: samples 6 became 99." in remarks


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ddimm"], "unknown solver 'ddimm'"),
        (["ddim", "--against", "heunn"], "unknown solver 'heunn'"),
        (["ddim", "--against", ""], "cannot read solver ''"),
        (["absent.py"], "no such solver file"),
        (["FOLDER"], "give two run folders"),
        (["FOLDER", "ddim"], "give two run folders"),
        (["FOLDER", "FOLDER"], "no manifest.json"),
    ],
)
def test_what_cannot_be_compared(solverbench, small, tmp_path, arguments, message):
    shown = solverbench("compare", *[str(tmp_path) if a == "FOLDER" else a for a in arguments], *small)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    assert not (tmp_path / "reports").exists()


def test_a_folder_with_the_name_of_a_solver_is_no_run_unless_it_holds_one(solverbench, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ddim").mkdir()
    shown = solverbench("compare", "ddim", *small, "--against", "heun", "--name", "r", "-q", "--problem", "gaussian")
    assert (shown.code, shown.err) == (0, "")
    assert "gaussian: W2, ddim against others by NFE" in shown.out
    (tmp_path / "ddim").rmdir()
    (tmp_path / "reports" / "small" / "r").rename(tmp_path / "ddim")
    shown = solverbench("compare", "ddim", *small)
    assert (shown.code, shown.out) == (2, "")
    assert "a run is compared with a run; got ddim" in shown.err
    assert "What changed" in solverbench("compare", "ddim", "ddim").out


@pytest.mark.parametrize("small", [True], indirect=True)
def test_the_report_marks_what_is_mine(solverbench, small, write, folders):
    solverbench("compare", write(BETTER), *small, "--against", "heun", "--name", "r", "-q", "--problem", "gaussian")
    table = (folders("r") / "tables" / "gaussian-w2.md").read_text("utf-8")
    assert "| → mine" in table
    assert "→: a solver of your own." in table
    assert list((folders("r") / "figures").glob("*.png"))
    page = (folders("r") / "report.html").read_text("utf-8")
    assert 'data-family="user" class="mine"' in page
    assert "mine on edm: 3 evaluations of the x0 prediction" in page  # its program, of a file that only this run loaded
