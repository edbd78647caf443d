"""`run` and `report`: data on stdout, messages on stderr, exit codes, and folders."""

from __future__ import annotations

import json
import math
from errno import ENOSPC

import pytest
from small import told

from solverbench.cli.run_ import executor

SLOW = """
import solverbench

@solverbench.solver("slow")
def slow(x, path, grid):
    if len(grid) == 6:
        raise KeyboardInterrupt
    for s, t in grid.steps:
        x = x + (t - s) * x.predict("velocity", at=s)
    return x
"""


@pytest.fixture
def broken(write):
    return write(
        "import solverbench\n@solverbench.solver('broken')\ndef broken(x, path, grid):\n"
        "    if len(grid) == 3:\n        raise ZeroDivisionError('no step')\n"
        "    for s, t in grid.steps:\n        x = x + (t - s) * x.predict('velocity', at=s)\n    return x\n",
        "broken.py",
    )


def folder(tmp_path, name="r"):
    return tmp_path / "reports" / "small" / name


def test_a_run_prints_tables_and_keeps_records(solverbench, small, tmp_path):
    shown = solverbench("run", *small, "--name", "r")
    assert shown.code == 0
    assert "ddim" in shown.out
    assert "mixture ddim 3 ok in" in shown.err
    assert "12 cells in" in shown.err
    assert shown.err.endswith(f" s: {folder(tmp_path)}\n")
    assert len((folder(tmp_path) / "cells.jsonl").read_text().splitlines()) == 12
    assert json.loads((folder(tmp_path) / "manifest.json").read_text())["suite"] == "small"


def events(shown):
    return [json.loads(line) for line in shown.out.splitlines()]


def test_json_is_events_and_all_that_is_on_stdout(solverbench, small, tmp_path):
    shown = solverbench("run", *small, "--json", "--solver", "ddim", "--name", "r", "--timing", "3")
    kept = [json.loads(line) for line in (folder(tmp_path) / "cells.jsonl").read_text().splitlines()]
    begin, *between, end = events(shown)
    assert begin == {"event": "begin", "folder": str(folder(tmp_path)), "cells": 4, "finished": 0}
    assert [(e["event"], e["record"]) for e in between if e["event"] != "message"] == [
        *(("cell", record) for record in kept[:4]), *(("timed", record) for record in kept[4:])
    ]  # fmt: skip
    assert [(r["problem"], r["budget"]) for r in told(shown.out)] == [
        ("gaussian", 3), ("gaussian", 6), ("mixture", 3), ("mixture", 6)
    ]  # fmt: skip
    assert "mixture at NFE 3: timing 1 solvers in 3 rounds" in [e["text"] for e in between if e["event"] == "message"]
    assert end == {"event": "end", "finished": 4, "failed": 0, "reused": 0, "timed": 2, "interrupted": False,
                   "exit_code": 0, "folder": str(folder(tmp_path))}  # fmt: skip


def test_events_of_a_run_that_is_interrupted_and_resumed(solverbench, small, write, tmp_path):
    slow = write(SLOW)
    shown = solverbench("run", *small, "--name", "r", "--solver", "ddim", "--solver", slow, "--json")
    assert shown.code == 130
    assert [r["status"] for r in told(shown.out)] == ["ok"] * 3
    assert {"interrupted": True, "exit_code": 130, "finished": 3}.items() <= events(shown)[-1].items()
    again = solverbench("run", "--resume", folder(tmp_path), "--json")
    assert {"cells": 8, "finished": 3}.items() <= events(again)[0].items()


def test_quiet_says_nothing(solverbench, small):
    shown = solverbench("run", *small, "-q", "--json", "--solver", "ddim")
    assert (shown.code, shown.err) == (0, "")


def test_a_dry_run_lists_cells_and_writes_nothing(solverbench, small, tmp_path):
    shown = solverbench("run", *small, "--dry-run", "--json", "--nfe", "4", "--seed", "3")
    rows = json.loads(shown.out)
    assert len(rows) == 6
    assert set(rows[0]) == {"cell", "problem", "solver", "budget", "seed"}
    assert {row["seed"] for row in rows} == {3}
    assert not (tmp_path / "reports").exists()
    assert "ddpm" in solverbench("run", *small, "--dry-run").out


def test_a_failed_cell_is_said_and_counted(solverbench, small, broken):
    shown = solverbench("run", *small, "--json", "--solver", broken, "--solver", "ddim", "--problem", "gaussian")
    assert shown.code == 3
    assert "4 cells, 1 failed in" in shown.err
    assert [r["status"] for r in told(shown.out)] == ["failed", "ok", "ok", "ok"]
    assert told(shown.out)[0]["reason"] == "solver broken raised ZeroDivisionError: no step (broken.py:5)"
    plain = solverbench("run", *small, "--solver", broken, "--problem", "gaussian")
    assert "gaussian broken 3 failed: solver broken raised ZeroDivisionError: no step (broken.py:5)" in plain.err


def test_nothing_selected(solverbench, small, tmp_path):
    shown = solverbench("run", *small, "--solver", "flow-map", "--problem", "mixture")
    assert (shown.code, shown.out) == (5, "")
    assert shown.err.startswith("error: nothing selected: ")
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--problem", "mixtur"], "unknown problem 'mixtur' in suite 'small' (did you mean mixture?)"),
        (["--solver", "ddimm"], "unknown solver 'ddimm'"),
        (["--nfe", "0"], "a budget is a positive number of model evaluations, got 0"),
        (["--solver", "absent.py"], "no such solver file: "),
    ],
)
def test_selections_that_cannot_be(solverbench, small, tmp_path, arguments, message):
    shown = solverbench("run", *small, *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    assert not (tmp_path / "reports").exists()


def test_a_name_is_used_once(solverbench, small, tmp_path):
    arguments = ["run", *small, "--name", "r", "--solver", "ddim", "-q"]
    assert solverbench(*arguments).code == 0
    before = (folder(tmp_path) / "cells.jsonl").read_text()
    again = solverbench(*arguments)
    assert (again.code, again.out) == (2, "")
    assert "already holds a run" in again.err
    assert (folder(tmp_path) / "cells.jsonl").read_text() == before


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(solverbench, small, tmp_path, monkeypatch):
    monkeypatch.setattr("solverbench.run.runner.run", lambda *_, **__: pytest.fail("work was done"))
    (tmp_path / "file").write_text("in the way")
    shown = solverbench("run", *small[:2], "--out", tmp_path / "file")
    assert shown.code == 2
    assert shown.err.startswith("error: cannot write results to ")
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "..", ".", ""])
def test_a_name_is_no_path(solverbench, small, tmp_path, name):
    shown = solverbench("run", *small, "--name", name)
    assert (shown.code, shown.out) == (2, "")
    assert f"a run's folder is called by a name, not a path, got {name!r}: --out says where it goes" in shown.err
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: {}, "is no manifest of this version (KeyError: 'asked')"),
        (lambda m: [], "is no manifest of this version (TypeError: "),
        (lambda m: {**m, "asked": None}, "does not say what was asked for"),
        (lambda m: {**m, "asked": {**m["asked"], "frob": 1}}, "does not say what was asked for"),
        (lambda m: {**m, "asked": {**m["asked"], "nfe": ["x"]}}, "nothing is run with nfe ['x']"),
        (lambda m: {**m, "asked": {**m["asked"], "spectrum": 5}}, "nothing is run with spectrum 5"),
        (lambda m: {**m, "suite_hash": "other"}, "has changed since"),
    ],
)
def test_an_altered_manifest_is_one_error(solverbench, small, tmp_path, change, message):
    solverbench("run", *small, "--name", "r", "-q", "--problem", "gaussian", "--solver", "ddim")
    path = folder(tmp_path) / "manifest.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    shown = solverbench("run", "--resume", folder(tmp_path))
    assert (shown.code, shown.out) == (2, "")
    assert message in shown.err
    path.write_text("{")
    assert "is no manifest of this version (JSONDecodeError" in solverbench("run", "--resume", folder(tmp_path)).err


def test_damaged_records_are_run_again(solverbench, small, tmp_path):
    run = ["run", *small, "--name", "r", "-q", "--json", "--problem", "gaussian", "--solver", "ddim"]
    first, second = told(solverbench(*run).out)
    path = folder(tmp_path) / "cells.jsonl"
    damaged = json.dumps({"cell": first["cell"], "status": []})
    path.write_text("\n".join(["no JSON", "[]", "{}", damaged, json.dumps(second)]) + "\n")
    again = solverbench("run", "--resume", folder(tmp_path), "-q", "--json", "--in-process", "--no-cache")
    assert again.code == 0
    assert [record["cell"] for record in told(again.out)] == [first["cell"]]


@pytest.mark.parametrize("small", [True], indirect=True)
def test_a_stdout_that_fails_costs_no_tables(solverbench, small, tmp_path, monkeypatch):
    def full(_):
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr("solverbench.report.summary", full)
    shown = solverbench("run", *small, "--name", "r", "--problem", "gaussian", "-q", "--nfe", "3")
    assert (shown.code, shown.out, shown.err) == (3, "", "error: No space left on device\n")
    assert list((folder(tmp_path) / "tables").glob("*.md"))


def test_ctrl_c_keeps_what_is_finished(solverbench, small, write, tmp_path):
    slow = write(SLOW)
    shown = solverbench("run", *small, "--name", "r", "--solver", "ddim", "--solver", slow)
    assert shown.code == 130
    assert f"interrupted: 3 of 8 cells are kept; go on with --resume {folder(tmp_path)}" in shown.err
    report = solverbench("report", folder(tmp_path), "--figures", "none")
    assert report.code == 3
    assert "incomplete: 3 of 8 cells" in report.out


def test_ctrl_c_before_the_first_cell(solverbench, small, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("solverbench.problems.law.LawProblem.judge", interrupt)
    shown = solverbench("run", *small)
    assert (shown.code, shown.out) == (130, "")
    assert "interrupted: 0 of 12 cells" in shown.err


def test_ctrl_c_anywhere_else(solverbench, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("solverbench.fields.load", interrupt)
    shown = solverbench("law", "ddim")
    assert (shown.code, shown.out, shown.err.strip()) == (130, "", "interrupted")


@pytest.mark.parametrize("small", [True], indirect=True)
def test_a_run_without_its_report_is_records_alone(solverbench, small, tmp_path):
    run = solverbench("run", *small, "--name", "r", "--problem", "gaussian", "--nfe", "3", "--no-report")
    assert (run.code, run.out) == (0, "")
    assert f"3 cells in 0 s: {folder(tmp_path)}" in run.err
    assert {f.name for f in folder(tmp_path).iterdir()} == {"manifest.json", "cells.jsonl", "arrays"}
    assert solverbench("report", folder(tmp_path), "--figures", "none", "--no-sheets").code == 0
    assert list((folder(tmp_path) / "tables").iterdir())


@pytest.mark.parametrize("small", [True], indirect=True)
def test_report_renders_again(solverbench, small, tmp_path):
    run = solverbench("run", *small, "--name", "r", "--problem", "gaussian", "-q", "--nfe", "3")
    made = folder(tmp_path)
    assert list((made / "figures").glob("*.png"))
    assert list((made / "sheets").iterdir())
    tables = {f.name: f.read_bytes() for f in (made / "tables").iterdir()}
    for f in (made / "tables").iterdir():
        f.unlink()
    shown = solverbench("report", made, "--figures", "none", "--no-sheets")
    assert (shown.code, shown.out) == (0, run.out)
    assert f"wrote {len(tables)} files below {made}" in shown.err
    assert {f.name: f.read_bytes() for f in (made / "tables").iterdir()} == tables


@pytest.mark.parametrize("small", [True], indirect=True)
@pytest.mark.parametrize("option", [("--format", "xls"), ("--figures", "gif")])
def test_unknown_formats_are_refused(solverbench, small, tmp_path, option):
    solverbench("run", *small, "--name", "r", "--problem", "gaussian", "-q", "--nfe", "3", "--no-report")
    shown = solverbench("report", folder(tmp_path), *option)
    assert shown.code == 2
    assert option[1] in shown.err


@pytest.mark.parametrize("small", [True], indirect=True)
def test_a_report_alone_on_stdout_and_what_is_in_the_way(solverbench, small, tmp_path):
    solverbench("run", *small, "--name", "r", "--problem", "gaussian", "-q", "--nfe", "3", "--no-report")
    with (folder(tmp_path) / "cells.jsonl").open("a") as file:
        file.write("no record\n")
    shown = solverbench("report", folder(tmp_path), "--figures", "none", "--format", "none", "--no-sheets")
    assert (shown.code, (shown.out + shown.err).count("cells.jsonl line 4 is not a record")) == (0, 1)
    assert "wrote 0 files" in shown.err
    (folder(tmp_path) / "tables").write_text("in the way")
    shown = solverbench("report", folder(tmp_path), "--figures", "none", "--no-sheets")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == f"error: {folder(tmp_path) / 'tables'}: File exists\n"


def test_report_of_a_folder_that_is_no_run(solverbench, tmp_path):
    shown = solverbench("report", tmp_path)
    assert (shown.code, shown.out) == (2, "")
    assert "no manifest.json" in shown.err


def test_limits_that_nothing_can_reach_are_none():
    for endless in (1e300, math.inf):
        limits = executor(1, endless, endless, False, cached=False).limits
        assert (limits.seconds, limits.memory) == (math.inf, None)
    assert executor(1, 9.0, 0.5, False, cached=False).limits.memory == 2**29
