"""Solvers timed side by side after a run, and the most memory that was resident."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from solverbench.measures.memory import with_peak
from solverbench.report import load
from solverbench.report.comparison import clock
from solverbench.report.tables import compute_table
from solverbench.run import cells, runner, store, suite, timing


def finish(tmp_path, suite_file, **options):
    loaded = suite.load(suite_file())
    selection = cells.select(loaded)
    folder = store.RunFolder(tmp_path / "reports", "small", options.pop("name", "first"))
    said = []
    outcome = runner.run(loaded, selection, folder, say=said.append, done=lambda record: None, **options)
    return selection, folder, outcome, said


def test_rounds_are_written_into_the_records_of_what_was_sampled(small_fields, suite_file, tmp_path):
    _, folder, outcome, said = finish(tmp_path, suite_file, timing=3)
    records = folder.records()
    sampled = [r for r in records if r["kind"] == "paired"]
    assert outcome.timed == len(sampled) == 10
    assert "mixture at NFE 3: timing 4 solvers in 3 rounds" in said  # dpmpp-1 is ddim
    for record in sampled:
        assert 0 < record["timed_field_seconds"] < record["timed_seconds"]
        assert 0 < record["timed_overhead_seconds"] < record["timed_seconds"]
        assert record["timed_rounds"] == 3
    by = {(r["solver"], r["budget"]): r["timed_seconds"] for r in sampled}
    assert by["dpmpp-1", 6] == by["ddim", 6] != by["ddim", 3]
    assert all("timed_seconds" not in r for r in records if r["kind"] == "law")
    seconds = clock(load(folder.path).of("mixture"))
    told = load(folder.path).of("mixture")["timed_seconds"]
    np.testing.assert_allclose(seconds["seconds"], told)
    np.testing.assert_allclose(seconds["field_seconds"] + seconds["overhead_seconds"], told)
    rest = load(folder.path).of("mixture")["timed_overhead_seconds"]
    np.testing.assert_allclose(seconds["overhead_seconds"], rest)
    assert "medians of 3 rounds in which" in compute_table(load(folder.path), "mixture").markdown()


def test_a_finished_run_can_be_timed_later_and_again_only_in_other_rounds(small_fields, suite_file, tmp_path):
    selection, folder, outcome, _ = finish(tmp_path, suite_file)
    assert outcome.timed == 0
    said: list[str] = []
    for rounds, expected in ((3, 10), (3, 0), (4, 10)):
        again = store.RunFolder.again(folder.path)
        assert len([*timing.in_rounds(selection, again, rounds, said.append)]) == expected
        again.close()
    assert [text for text in said if "nothing to time" in text] == [
        "nothing to time: no cell on samples, or all of them in 3 rounds already"
    ]
    lines = [json.loads(line) for line in (folder.path / "cells.jsonl").read_text().splitlines()]
    assert (len(lines), len(folder.records())) == (40, 20)


def test_the_rest_is_the_median_of_what_is_left_run_by_run():
    """The field's seconds vary by a hundred times what the solver takes, whose median they leave alone."""
    runs = [{"sampling_seconds": f + r, "field_seconds": f} for f, r in ((5.0, 0.02), (9.0, 0.01), (7.0, 0.03))]
    assert timing._split(runs) == pytest.approx({"timed_field_seconds": 7.0, "timed_overhead_seconds": 0.02})
    assert set(timing._split([*runs, {"sampling_seconds": 1.0, "field_seconds": None}]).values()) == {None}


def test_seconds_without_a_split_are_those_of_sampling():
    """On a GPU the field's are not known; the cell's own would have judging and preparing in them."""
    columns = ("seconds", "sampling_seconds", "field_seconds", "overhead_seconds", "timed_seconds", "timed_seconds_se",
               "timed_field_seconds", "timed_overhead_seconds")  # fmt: skip
    bare = pd.DataFrame([{"seconds": 60.0, "sampling_seconds": 0.5}, {"seconds": 60.0}], columns=columns, dtype=float)
    assert clock(bare)["seconds"].tolist() == [0.5, 60.0]


def test_the_high_water_mark_is_of_what_runs():
    made, peak = with_peak(lambda: np.ones(30_000_000).sum())
    if peak is None:
        pytest.skip("this system does not set the mark back")
    _, after = with_peak(lambda: None)
    assert made == 3e7
    assert peak - after > 200e6
