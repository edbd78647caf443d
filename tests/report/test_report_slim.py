"""A copy of a run without arrays: what it keeps, what it forgets, and that it can be rendered again."""

from __future__ import annotations

import json

import pytest
from synthetic import records, write_run

from solverbench.errors import UsageError
from solverbench.report import render


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


def test_its_tables_follow_from_its_records(run, tmp_path):
    to = tmp_path / "kept"
    render(run, figures=(), tables=["md"], sheets=False, slim=to)
    first = {p.name: p.read_text() for p in (to / "tables").iterdir()}
    render(to, figures=(), tables=["md"], sheets=False)
    assert {p.name: p.read_text() for p in (to / "tables").iterdir()} == first


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
