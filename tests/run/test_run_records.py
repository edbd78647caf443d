"""A run's folder: what is in it, and what becomes of cells that go wrong."""

from __future__ import annotations

import json
import math
from contextlib import closing
from itertools import combinations

import numpy as np
import pytest

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.run.store import RunFolder

COMMON = {
    "cell", "problem", "kind", "solver", "family", "order", "budget", "device", "grid", "seed", "nfe", "steps", "rows",
    "stochastic", "status", "reason", "same_as", "seconds", "identity", "reused", "peak_memory",
}  # fmt: skip
PARTS = ("initialisation", "truncation", "discretisation")
LAW = {
    *("w2", "kl", "reverse_kl", "frechet", "hellinger", "mean_error", "std_error_min", "std_error_max"),
    *(f"{d}_{p}" for d in ("w2", "kl") for p in (*PARTS, *map("_".join, combinations(PARTS, 2)))),
}  # fmt: skip
PAIRED = {
    "sampling_seconds", "field_seconds", "overhead_seconds", "flops", "n", "n_paired", "reference_error", "fd",
    "fd_se", "fd_floor", "fd_floor_sd", "flops_per_evaluation",
    *(ERRORS := {"rmse", "rmse_se", "rmse_max", "rmse_truncation", "relative", "relative_se", "psnr", "psnr_se"}),
}  # fmt: skip


@pytest.fixture
def whole(run):
    return run()


def test_every_cell_has_one_flat_record_with_finite_numbers(whole):
    assert whole.outcome.exit_code == 0
    assert [r["cell"] for r in whole.records] == [c.id for c in whole.selection.cells]
    for record in whole.records:
        expected = LAW if record["kind"] == "law" else PAIRED
        if record["stochastic"] and record["kind"] == "paired":
            expected = expected - ERRORS
        assert set(record) == COMMON | expected
        assert record["status"] == "ok"
        assert record["nfe"] <= record["budget"]
        for key, value in record.items():
            assert value is None or isinstance(value, (str, bool, int)) or math.isfinite(value), key


def test_the_manifest_says_what_was_asked_for_of_what_on_what(whole):
    assert whole.manifest["cells"] == 20
    entries = ("schema", "run", "suite", "title", "scale", "seed", "nfe", "left_out")
    assert [whole.manifest[k] for k in entries] == [1, "first", "small", "Small fields", "full", 0, [3, 6], []]
    assert [p["name"] for p in whole.manifest["problems"]] == ["gaussian", "mixture"]
    assert len(whole.manifest["suite_hash"]) == 64
    assert {"python", "numpy", "torch", "scipy", "solverbench"} <= set(whole.manifest["versions"])
    assert {"cpu", "cores", "threads", "gpu", "system"} <= set(whole.manifest["hardware"])
    assert {"created", "command", "commit", "dirty"} <= set(whole.manifest)


def test_pictures_are_kept_by_cell_and_by_problem(whole):
    names = {f.stem for f in (whole.folder / "arrays").iterdir()}
    assert names == {r["cell"] for r in whole.records} | {"reference-gaussian", "reference-mixture"}
    images = np.load(whole.folder / "arrays" / "reference-mixture.npz")["images"]
    assert (images.dtype, images.shape) == (np.uint8, (2, 3, 2, 2))


def test_the_same_program_has_the_same_numbers_and_says_whose(whole):
    """dpmpp-1 is DDIM by another formula."""
    found = {(r["problem"], r["budget"], r["solver"]): r for r in whole.records}
    for problem, measured in (("gaussian", LAW), ("mixture", PAIRED)):
        for budget in (3, 6):
            ddim, same = found[problem, budget, "ddim"], found[problem, budget, "dpmpp-1"]
            assert (ddim["same_as"], same["same_as"]) == (None, "ddim")
            assert [ddim[k] for k in measured] == [same[k] for k in measured]
    assert {r["solver"] for r in whole.records if r["same_as"]} == {"dpmpp-1"}


def test_a_run_is_repeatable(run, whole):
    timings = {"seconds", "sampling_seconds", "field_seconds", "overhead_seconds", "peak_memory"}
    again = run("again").records
    for a, b in zip(whole.records, again, strict=True):
        assert {k: v for k, v in a.items() if k not in timings} == {k: v for k, v in b.items() if k not in timings}


def test_quick_and_left_out_are_said(run):
    made = run(scale="quick", solvers=["ddim", "flow-map"])
    assert made.manifest["scale"] == "quick"
    assert made.manifest["left_out"] == ["flow-map on mixture: cifar10-mixture has no flow map to jump with"]
    assert any("flow-map on mixture" in text for text in made.said)


def test_a_solver_that_raises_costs_its_own_cells(run):
    @sb.solver("fragile")
    def fragile(x, path, grid, *, at: int = 3):
        if at in (len(grid), 0):
            raise ZeroDivisionError("no such step")
        for s, t in grid.steps:
            x = x + (t - s) * x.predict("velocity", at=s)
        return x

    made = run(solvers=["fragile", "fragile[at=0]", "ddim"], problems=["gaussian"])
    assert made.outcome.exit_code == 3
    failed = {(r["solver"], r["budget"]) for r in made.records if r["status"] == "failed"}
    assert failed == {("fragile", 3), ("fragile[at=0]", 3), ("fragile[at=0]", 6)}
    assert made.outcome.failed == len(failed) == len(made.records) - 3
    for record in made.records:
        if record["status"] == "failed":
            assert "raised ZeroDivisionError: no such step (test_run_records.py:" in record["reason"]


def test_a_solver_that_is_no_program_fails_alone(run):
    @sb.solver("nonlinear")
    def nonlinear(x, path, grid):
        return x * x

    made = run(solvers=["nonlinear", "ddim"], problems=["gaussian"])
    reasons = {r["reason"] for r in made.records if r["solver"] == "nonlinear" and r["status"] == "failed"}
    assert len(reasons) == 1
    assert "product of two states" in reasons.pop()
    assert {r["status"] for r in made.records if r["solver"] == "ddim"} == {"ok"}


def test_impossible_options_are_refused_before_the_run(run):
    with pytest.raises(UsageError, match="eta must be between 0 and 1"):
        run(solvers=["ddim[eta=2]"])


def test_a_budget_that_is_too_small_is_skipped_with_the_reason(run):
    grids = 'kind = "law"', 'kind = "law"\ngrid_options = {zero = false}'
    made = run(edit=grids, solvers=["rk4", "ddim"], problems=["gaussian"], nfe=[2])
    by = {r["solver"]: r for r in made.records}
    assert by["rk4"]["status"] == "skipped"
    assert by["rk4"]["reason"] == "solver rk4 needs at least 4 evaluations on this grid, the budget is 2"
    assert by["ddim"]["status"] == "ok"
    assert made.outcome.exit_code == 0


class Spoiled:
    """The small mixture, spoiled for solvers (single precision) or for references too."""

    def __init__(self, field, spoil, everywhere=False):
        self.field, self.spoil, self.everywhere = field, spoil, everywhere

    def __getattr__(self, name):
        if name == "at":  # a plain field
            raise AttributeError(name)
        return getattr(self.field, name)

    def __call__(self, x, t):
        y = self.field(x, t)
        return self.spoil(y) if self.everywhere or "float32" in str(y.dtype) else y


def test_a_field_that_gives_nan_is_a_result_and_the_run_goes_on(run, small_fields, mixture):
    small_fields["cifar10-mixture"] = Spoiled(mixture, lambda y: y * float("nan"))
    made = run(solvers=["ddim"])
    assert made.outcome.exit_code == 0
    assert [(r["problem"], r["status"]) for r in made.records] == [
        ("gaussian", "ok"), ("gaussian", "ok"), ("mixture", "diverged"), ("mixture", "diverged")
    ]  # fmt: skip
    assert made.records[-1]["reason"] == "6 of 6 samples are not finite"


def test_a_field_of_the_wrong_shape_fails_its_cells_alone(run, small_fields, mixture):
    small_fields["cifar10-mixture"] = Spoiled(mixture, lambda y: y[..., :1])
    made = run(solvers=["ddim", "heun"])
    assert made.outcome.exit_code == 3
    assert {(r["problem"], r["status"]) for r in made.records} == {("gaussian", "ok"), ("mixture", "failed")}
    assert "shape" in made.records[-1]["reason"]


@pytest.mark.parametrize("spoil", [lambda y: y * float("nan"), lambda y: y[..., :1]])
def test_a_problem_without_reference_fails_its_cells_alone(run, small_fields, mixture, spoil):
    small_fields["cifar10-mixture"] = Spoiled(mixture, spoil, everywhere=True)
    made = run(solvers=["ddim"])
    assert made.outcome.exit_code == 3
    assert [r["status"] for r in made.records] == ["ok", "ok", "failed", "failed"]
    assert "the problem could not be prepared: " in made.records[-1]["reason"]
    assert made.records[-1]["nfe"] == 6


@pytest.mark.parametrize("where", ["solver", "field", "reference"])
def test_ctrl_c_keeps_what_is_finished(run, small_fields, mixture, where):
    def interrupt(*_):
        raise KeyboardInterrupt

    @sb.solver("slow")
    def slow(x, path, grid):
        if where == "solver" and len(grid) == 6:
            interrupt()
        for s, t in grid.steps:
            x = x + (t - s) * x.predict("velocity", at=s)
        return x

    if where != "solver":
        small_fields["cifar10-mixture"] = Spoiled(mixture, interrupt, everywhere=where == "reference")
    made = run(solvers=["ddim", "slow"])
    assert made.outcome.interrupted
    assert made.outcome.exit_code == 130
    assert made.outcome.finished == len(made.records) == len(made.done) == (3 if where == "solver" else 4)
    assert {r["status"] for r in made.records} == {"ok"}
    assert made.manifest["cells"] == 8


def test_folders_that_cannot_be_written_are_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for root in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(UsageError, match=r"cannot write results to .*file.*choose another --out"):
            RunFolder(root, "small", "x")
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "x").write_text("in the way")
    with pytest.raises(UsageError, match="choose another --out or remove it"):
        RunFolder(tmp_path, "small", "x")


def test_a_name_is_used_once_and_times_never_collide(tmp_path):
    with closing(RunFolder(tmp_path, "small", "x")) as folder:
        folder.manifest({})
    with pytest.raises(UsageError, match="x already holds a run"):
        RunFolder(tmp_path, "small", "x")
    folders = [RunFolder(tmp_path, "small") for _ in range(3)]
    assert len({f.path for f in folders}) == 3
    for folder in folders:
        folder.close()


def test_numbers_that_are_not_finite_become_null_and_lines_are_written_at_once(tmp_path):
    folder = RunFolder(tmp_path, "small", "x")
    folder.append({"cell": "a", "kl": math.inf, "w2": math.nan, "n": 3, "reason": None})
    written = (folder.path / "cells.jsonl").read_text()  # before it is closed
    folder.close()
    assert json.loads(written) == {"cell": "a", "kl": None, "w2": None, "n": 3, "reason": None}
