"""Reading a run folder: what is tolerated, what is refused, and what is said of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from synthetic import records, write_run

from solverbench.errors import UsageError
from solverbench.report import load


def test_complete_run(tmp_path):
    run = load(write_run(tmp_path / "a"))
    assert run.complete
    assert run.progress == "complete: 666 cells"
    assert run.warnings == []
    assert run.titled("x") == "x"
    assert run.problems == [("cifar10-gaussian", "law"), ("cifar10-mixture", "paired")]


def test_torn_last_line_is_dropped_and_said(big):
    assert big.progress == "incomplete: 665 of 666 cells"
    assert "line 666 is torn" in big.warnings[0]
    assert big.titled("x") == "x (incomplete: 665 of 666 cells)"


def test_line_torn_inside_a_character(tmp_path):
    folder = write_run(tmp_path / "a", records()[:3])
    with (folder / "cells.jsonl").open("ab") as file:
        file.write('{"cell": "η'.encode()[:-1])
    run = load(folder)
    assert len(run.records) == 3
    assert len(run.warnings) == 1


def test_damaged_line_in_the_middle_is_named(tmp_path):
    folder = write_run(tmp_path / "a", records()[:3])
    lines = (folder / "cells.jsonl").read_text().split("\n")
    lines[1] = lines[1][:30] + lines[1]
    (folder / "cells.jsonl").write_text("\n".join(lines))
    run = load(folder)
    assert len(run.records) == 2
    assert "line 2 is not a record" in run.warnings[0]


@pytest.mark.parametrize("change", [{"budget": "ten"}, {"solver": None}, {"problem": 7}, {"status": ["ok"]}])
def test_a_line_whose_names_are_no_texts_is_no_record(tmp_path, change):
    cells = records()[:3]
    run = load(write_run(tmp_path / "a", [cells[0], {**cells[1], **change}, cells[2]]))
    assert len(run.records) == 2
    assert "line 2 is not a record" in run.warnings[0]


def test_runs_near_a_mistyped_folder_are_named_and_the_disk_is_not_searched(tmp_path, monkeypatch):
    write_run(tmp_path / "reports" / "ci" / "a", records()[:1])
    with pytest.raises(UsageError, match=r"runs near it: .*reports/ci/a"):
        load(tmp_path)
    searched = []
    monkeypatch.setattr("pathlib.Path.glob", lambda self, pattern: searched.append(str(self)) or [])
    with pytest.raises(UsageError, match="no runs near it"):
        load("/absent")
    assert set(searched) == {"/absent"}


def test_of_two_records_of_a_cell_the_last_wins(tmp_path):
    cells = records()[:2]
    cells.append({**cells[0], "w2": 42.0})
    run = load(write_run(tmp_path / "a", cells, planned=2))
    assert run.complete
    assert run.records.set_index("cell")["w2"][cells[0]["cell"]] == 42.0


def test_missing_columns_and_nulls_are_nan(tmp_path):
    cells = [{"cell": "a", "problem": "p", "kind": "law", "solver": "s", "budget": 5, "status": "ok", "w2": None}]
    run = load(write_run(tmp_path / "a", cells))
    assert np.isnan(run.records["w2"][0])
    assert np.isnan(run.records["kl"][0])
    assert run.records["same_as"][0] is None
    assert not run.records["stochastic"][0]


def test_no_cells_at_all(tmp_path):
    folder = write_run(tmp_path / "a", [], planned=7)
    assert load(folder).progress == "incomplete: 0 of 7 cells"
    (folder / "cells.jsonl").unlink()
    assert "no cell has finished" in load(folder).warnings[0]


def test_missing_folder_lists_the_runs_near_it(tmp_path):
    write_run(tmp_path / "reports" / "suite" / "first", records()[:1])
    with pytest.raises(UsageError, match=r"'.*frist' does not exist; runs near it: .*first"):
        load(tmp_path / "reports" / "suite" / "frist")
    with pytest.raises(UsageError, match=r"has no manifest\.json; runs near it: .*first"):
        load(tmp_path / "reports")


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot read"), ("[]", "cannot read"), ('{"schema": 9, "cells": 1}', "schema 9")]
)
def test_unreadable_manifest(tmp_path, text, message):
    folder = write_run(tmp_path / "a", records()[:1])
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("change", "label"), [({"grid": "uniform"}, "euler @uniform"), ({"seed": 1}, "euler seed 1"), ({}, "euler #again")]
)
def test_cells_that_would_collide_get_their_own_rows(tmp_path, change, label):
    cells = records()[:2]
    cells.append({**cells[0], **change, "cell": "again"})
    run = load(write_run(tmp_path / "a", cells))
    assert label in list(run.records["label"])
    assert not run.records.duplicated(["label", "budget"]).any()


def test_identical_program_that_was_not_run_shows_the_other_one_s_results(tmp_path):
    one, other = (c for c in records() if c["cell"] in ("cifar10-gaussian.exp-euler.10", "cifar10-gaussian.ddim.10"))
    bare = {k: v for k, v in other.items() if not k.startswith(("w2", "kl", "mean", "std"))}
    run = load(write_run(tmp_path / "a", [one, {**bare, "status": "skipped", "reason": "identical"}]))
    rows = run.records.set_index("label")
    assert rows["w2"]["ddim"] == one["w2"]
    assert rows["status"]["ddim"] == "ok"


def test_caveats_of_the_manifest(tmp_path):
    folder = write_run(tmp_path / "a", records()[:2])
    manifest = json.loads((folder / "manifest.json").read_text())
    left_out = ["flow-map on cifar10-gaussian: needs a flow map", "flow-map on elsewhere: needs a flow map"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "scale": "quick", "left_out": left_out}))
    run = load(folder)
    assert run.titled("x") == "x (quick settings)"
    assert run.left_out("cifar10-gaussian") == ["Not run: flow-map on cifar10-gaussian: needs a flow map."]


def test_order_is_by_family_whatever_the_order_of_the_cells(tmp_path):
    cells = records()
    run = load(write_run(tmp_path / "a", sorted(cells, key=lambda c: c["budget"])))
    expected = load(write_run(tmp_path / "b", cells))
    assert list(run.records["cell"]) == list(expected.records["cell"])


def test_a_solver_is_stochastic_at_budgets_it_was_skipped_at_too(tmp_path):
    cells = [c for c in records() if c["solver"] == "edm-stochastic"][:3]
    cells[0] = {k: v for k, v in cells[0].items() if k != "stochastic"}
    assert load(write_run(tmp_path / "a", cells)).records["stochastic"].all()


def test_manifest_is_kept_whole(big):
    assert big.manifest == json.loads((big.folder / "manifest.json").read_text())
