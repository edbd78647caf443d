"""What machines do to a run: clocks that jump, disks that fill up or turn read-only, folders that disappear."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small

from solverbench.errors import StorageError, UsageError
from solverbench.run.store import RunFolder

JUMPS = """
import random
import time

_real = time.time
time.time = lambda: _real() + random.choice([-1, 1]) * 10**random.randint(0, 9)  # seconds to thirty years
"""
HANG = """
import time
import solverbench


@solverbench.solver("hang")
def hang(x, path, grid):
    if len(grid) == 5:
        time.sleep(1000)
    for s, t in grid.steps:
        x = x + (t - s) * x.predict("velocity", at=s)
    return x
"""
SUITE = """
schema = 1
name = "small"
nfe = [3, 5]
solvers = ["ddim"]
[[problems]]
name = "gaussian"
field = "{fields}:gaussian"
kind = "law"
"""


def test_clocks_that_jump_change_nothing(tmp_path):
    """Each look at the clock, in the run and in its workers, finds it elsewhere; limits are kept, results are there."""
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    (tmp_path / "hang.py").write_text(HANG)
    (tmp_path / "small.toml").write_text(SUITE.format(fields=small.__file__))
    places = [str(tmp_path), str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    words = ["run", "--suite", "small.toml", "--out", "out", "--name", "r", "--jobs", "2", "--no-cache", "--json",
             "--solver", "hang.py", "--solver", "ddim", "--cell-timeout", "30"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "solverbench", *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": ":".join(places)},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    records = {(r["solver"], r["budget"]): r for r in small.told(done.stdout)}
    assert len(records) == 4
    failed = {key: r["reason"] for key, r in records.items() if r["status"] == "failed"}
    assert failed == {("hang", 5): "no result within 30 s: the process was killed (--cell-timeout)"}
    assert all(0 <= r["seconds"] < 600 for r in records.values() if r["status"] == "ok")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_a_disk_that_fails_is_one_error_that_says_how_to_go_on(run, tmp_path, monkeypatch, number):
    real, calls = os.fsync, []

    def fsync(file):
        calls.append(file)
        if len(calls) == 4:
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(StorageError, match=rf"{os.strerror(number)}; .* --resume {tmp_path}") as error:
        run()
    assert error.value.exit_code == 3
    monkeypatch.undo()
    again = RunFolder.again(tmp_path / "reports" / "small" / "first")
    assert len(again.finished) >= 3
    again.close()


def record(cell):
    """With what every record has."""
    return {"cell": cell, "problem": "p", "kind": "law", "solver": "ddim", "status": "ok", "budget": 5}


def test_a_file_of_records_cut_anywhere_loses_the_torn_line_alone(tmp_path):
    folder = RunFolder(tmp_path, "small", "x")
    folder.manifest({"cells": 3})
    for name in "abc":
        folder.append(record(name))
    folder.close()
    file = folder.path / "cells.jsonl"
    whole = file.read_bytes()
    for cut in range(whole.find(b"\n") + 1, len(whole) + 1):
        file.write_bytes(whole[:cut])
        again = RunFolder.again(folder.path)
        again.close()
        left = whole[:cut].count(b"\n")
        assert again.finished == set("abc"[:left])
        assert [record["cell"] for record in again.records()] == list("abc"[:left])
        assert file.read_bytes() == b"".join(whole.splitlines(keepends=True)[:left])


def test_a_line_that_the_disk_has_damaged_is_its_cell_s_alone(tmp_path):
    folder = RunFolder(tmp_path, "small", "x")
    folder.manifest({"cells": 3})
    for name in "abc":
        folder.append(record(name))
    folder.close()
    file = folder.path / "cells.jsonl"
    file.write_bytes(file.read_bytes().replace(b'{"cell": "b"', b"\0" * 12))
    again = RunFolder.again(folder.path)
    again.close()
    assert again.finished == {record["cell"] for record in again.records()} == {"a", "c"}


def test_a_folder_that_is_removed_is_one_error(tmp_path):
    folder = RunFolder(tmp_path, "small", "x")
    folder.append({"cell": "a"})
    shutil.rmtree(folder.path)
    with pytest.raises(StorageError, match="x has been removed while the run was writing it: start a new run"):
        folder.append({"cell": "b"})
    folder.close()


def test_a_disk_that_is_read_only_is_refused_before_the_run(tmp_path, monkeypatch):
    def mkdir(self, *_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(UsageError, match="Read-only file system; choose another --out"):
        RunFolder(tmp_path, "small", "x")
