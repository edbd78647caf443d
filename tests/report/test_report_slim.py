"""A copy of a run without arrays: what it keeps, what it forgets, and that its tables are those of the run."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from synthetic import records, write_run

from solverbench.errors import UsageError
from solverbench.report import load, render, starts


@pytest.fixture
def run(tmp_path):
    """Three solvers with pictures, one cell with a traceback, and a torn last line."""
    cells = [c for c in records() if c["solver"] in ("heun", "ddpm", "dpm-3")]
    cells = [c | ({"traceback": "/home/me/mine.py"} if c["status"] == "failed" else {}) for c in cells]
    folder = write_run(tmp_path / "run", cells, torn=True, images=2)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["command"] = "solverbench run --suite cifar10 --out /tmp/x --name=y --no-cache --nfe 5"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def names(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_what_a_copy_keeps(run, tmp_path):
    before, to = names(run), tmp_path / "kept" / "cifar10"
    written = render(run, figures=["png"], tables=["md"], only=["split-*", "*-mixture-heun"], slim=to)
    assert names(run) == before
    assert {str(p.relative_to(to)) for p in written} | {"cells.jsonl", "manifest.json"} == set(names(to))
    assert (to / "figures/split-cifar10-gaussian.png").is_file()
    assert [p.name for p in (to / "sheets").iterdir()] == ["cifar10-mixture-heun.png"]
    assert "traceback" not in (to / "cells.jsonl").read_text()
    assert json.loads((to / "manifest.json").read_text())["command"] == "solverbench run --suite cifar10 --nfe 5"


FORMS = ("md", "csv", "latex")


def made(folder):
    """The tables that a folder's records and numbers give, as bytes."""
    render(folder, figures=(), tables=FORMS, sheets=False)
    return {p.name: p.read_bytes() for p in (folder / "tables").iterdir()}


@pytest.fixture
def paired(tmp_path):
    """Solvers whose errors start by start tell apart what their standard errors do not, one of them there twice."""
    rng, folder = np.random.default_rng(0), tmp_path / "paired"
    cells = [c for c in records() if c["problem"] == "cifar10-mixture" and c["solver"] in ("heun", "dpmpp-2m", "ddim")]
    folder.joinpath("arrays").mkdir(parents=True)
    for c in cells:
        hard, luck = np.random.default_rng(c["budget"]).normal(0, 0.35, 48), rng.normal(0, 0.01, 48)
        heun = c["solver"] == "heun"
        own = (1.0 if heun else 1.02) ** 2 * np.exp(2 * hard + luck * heun)
        c |= {"rmse": own.mean() ** 0.5, "rmse_se": 0.06, "n_paired": 48, "same_as": None}
        some = own[: 24 + c["budget"] % 2]
        np.savez(folder / "arrays" / f"{c['cell']}.npz", squared_errors=own, fd_by_start=c["fd"] * some)
    return write_run(folder, cells)


def test_the_tables_of_a_copy_are_those_of_the_run(paired, tmp_path):
    render(paired, figures=(), tables=FORMS, sheets=False, slim=tmp_path / "kept")
    render(tmp_path / "kept", figures=(), tables=FORMS, sheets=False, slim=tmp_path / "of-kept")
    assert made(tmp_path / "kept") == made(tmp_path / "of-kept") == made(paired)
    for name in ("squared_errors", "fd_by_start"):
        columns = [np.concatenate(list(load(folder).records[name])) for folder in (paired, tmp_path / "kept")]
        np.testing.assert_array_equal(*columns)
    assert not any(b"did not keep numbers by start" in text for text in made(paired).values())
    assert not (tmp_path / "kept" / "arrays").exists()
    (tmp_path / "kept" / starts.NAME).unlink()
    assert made(tmp_path / "kept") != made(paired)


def test_a_number_that_is_altered_is_seen(paired, tmp_path):
    to = tmp_path / "kept"
    render(paired, figures=(), tables=(), sheets=False, slim=to)
    with np.load(to / starts.NAME) as archive:
        arrays = dict(archive)
    heun = list(arrays["squared_errors.cells"]).index("cifar10-mixture.heun.10")
    first = arrays["squared_errors.rows"][heun] * 48
    row = arrays["squared_errors"][first : first + 48]
    row[:] = row[::-1]  # the mean is what it was, but the starts are others'
    np.savez(to / starts.NAME, **arrays)
    assert made(to)["cifar10-mixture-rmse.md"] != made(paired)["cifar10-mixture-rmse.md"]


def test_cells_of_one_program_share_their_numbers(paired):
    with np.load(_file(paired)) as archive:
        rows = dict(zip(archive["squared_errors.cells"], archive["squared_errors.rows"], strict=True))
        assert len(set(rows.values())) == len(archive["squared_errors.sizes"]) == 2 * len(rows) // 3
        assert archive["squared_errors"].dtype == np.float32
    assert rows["cifar10-mixture.ddim.10"] == rows["cifar10-mixture.dpmpp-2m.10"] != rows["cifar10-mixture.heun.10"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-50]),
        lambda path: np.savez(path, **_with(path, "squared_errors", np.array([None, 1], dtype=object))),
        lambda path: np.savez(path, **_with(path, "squared_errors.rows", np.full(27, 99))),
        lambda path: np.savez(path, **_with(path, "squared_errors.cells", np.array(["one"]))),
        lambda path: np.savez_compressed(path, **_with(path, "squared_errors", np.zeros(9 << 20, np.float32))),
        lambda path: path.write_bytes(b"\x93NUMPY" + bytes(80)),
        lambda path: path.write_bytes(_array()),
    ],
    ids=["torn", "pickled", "rows", "cells", "bomb", "no array", "an array"],
)
def test_a_damaged_file_is_left_out_and_named(paired, tmp_path, spoil):
    to = tmp_path / "kept"
    render(paired, figures=(), tables=(), sheets=False, slim=to)
    spoil(to / starts.NAME)
    run = load(to)
    assert len(run.warnings) == 1
    assert "by-start.npz is damaged and was left out" in run.warnings[0]
    assert "pickle" not in run.warnings[0]
    assert run.records["squared_errors"].isna().all()


def test_numbers_that_are_too_many_stay_behind(paired, tmp_path, monkeypatch):
    to, said = tmp_path / "kept", []
    render(paired, figures=(), tables=(), sheets=False, slim=to)
    monkeypatch.setattr(starts, "LARGEST", 1000)
    render(paired, figures=(), tables=["md"], sheets=False, slim=to, say=said.append)
    assert len(said) == 1
    assert "left out" in said[0]
    assert not (to / starts.NAME).exists()
    assert "did not keep numbers by start" in (to / "tables" / "cifar10-mixture-rmse.md").read_text()


def _file(run):
    render(run, figures=(), tables=(), sheets=False, slim=run.parent / "copy")
    return run.parent / "copy" / starts.NAME


def _array():
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


def _with(path, name, value):
    with np.load(path) as archive:
        return {**dict(archive), name: value}


def test_it_replaces_a_former_copy_and_nothing_else(run, tmp_path):
    to = tmp_path / "kept"
    render(run, figures=(), tables=["md"], sheets=False, slim=to)
    (to / "tables" / "old.md").write_text("of a table that is no more")
    render(run, figures=(), tables=["md"], sheets=False, slim=to)
    assert not (to / "tables" / "old.md").exists()
    with pytest.raises(UsageError, match="the run itself"):
        render(run, slim=run)
    other = write_run(tmp_path / "other", images=1)
    with pytest.raises(UsageError, match="something else than a copy"):
        render(run, slim=other)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="something else than a copy"):
        render(run, slim=tmp_path / "home")
