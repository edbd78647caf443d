"""Runs in worker processes: what a solver does to its process costs its own cell, and numbers do not depend on them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import small

from solverbench.errors import SolverbenchError
from solverbench.report.records import _records
from solverbench.run import workers

FIELDS = f"""
import sys
sys.path.insert(0, {str(Path(small.__file__).parent)!r})
from small import gaussian, mixture
"""
SUITE = """
schema = 1
name = "small"
nfe = [3, 4, 6]
solvers = ["ddim", "dpmpp-1", "heun", "dpmpp-2m", "ddpm"]
{problems}
"""
EVIL = """
import os, signal, time
import solverbench


def evil(name):
    return solverbench.solver(name)


def steps(x, path, grid, do):
    if len(grid) == 5:  # a budget of 5, and nothing that is traced on the way to others
        do()
    for s, t in grid.steps:
        x = x + (t - s) * x.predict("velocity", at=s)
    return x


@evil("crash")
def crash(x, path, grid):
    return steps(x, path, grid, lambda: os.kill(os.getpid(), signal.SIGSEGV))


@evil("leave")
def leave(x, path, grid):
    return steps(x, path, grid, lambda: os._exit(7))


@evil("hang")
def hang(x, path, grid):
    return steps(x, path, grid, lambda: time.sleep(1000))


@evil("eat")
def eat(x, path, grid):
    return steps(x, path, grid, lambda: bytearray(1 << 40))


@evil("fine")
def fine(x, path, grid):
    return steps(x, path, grid, lambda: None)
"""
TIMINGS = {"seconds", "sampling_seconds", "field_seconds", "overhead_seconds", "peak_memory", "reused"}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """command(*arguments): `solverbench run` on the small suite, as the list of its words."""
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "fields.py").write_text(FIELDS)
    problems = small.PROBLEMS
    for name in ("gaussian", "mixture"):
        problems = problems.replace(f'"cifar10-{name}"', f'"{tmp_path}/fields.py:{name}"')
    (tmp_path / "small.toml").write_text(SUITE.format(problems=problems))
    (tmp_path / "evil.py").write_text(EVIL)
    fixed = ["--suite", str(tmp_path / "small.toml"), "--out", str(tmp_path / "reports"), "--json", "--no-report"]
    return lambda *arguments: [sys.executable, "-m", "solverbench", "run", *fixed, *map(str, arguments)]


def ended(words, code=0):
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stderr
    return done


def begun(words, folder):
    """The process of a run that has finished a cell."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cells, end = folder / "cells.jsonl", time.monotonic() + 600
    while process.poll() is None and not (cells.exists() and cells.read_bytes().count(b"\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    return process


def numbers(text):
    """Everything in records but what time it took."""
    found = {r["cell"]: {k: v for k, v in r.items() if k not in TIMINGS} for r in text}
    return dict(sorted(found.items()))


def kept(folder):
    return [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]


def test_numbers_do_not_depend_on_how_many_processes_there_are(command):
    runs = [small.told(ended(command("--name", f"{n}", *how)).stdout) for n, how in enumerate(
        (["--in-process"], ["--jobs", 1], ["--jobs", 3])
    )]  # fmt: skip
    assert len(runs[0]) == 30
    assert numbers(runs[0]) == numbers(runs[1]) == numbers(runs[2])
    assert {r["same_as"] for r in runs[2] if r["solver"] == "dpmpp-1"} == {"ddim"}


def test_a_worker_that_is_never_ready_is_no_matter_of_a_cells_time(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.0)
    worker = workers.Worker(workers.Limits(), None)
    with pytest.raises(SolverbenchError, match=r"do not start \(one was not ready within 0 s\): try --in-process"):
        list(worker.hear())
    assert not worker.process.is_alive()


def test_what_a_solver_does_to_its_process_costs_its_own_cell(command, tmp_path):
    evil = tmp_path / "evil.py"
    words = command("--solver", evil, "--solver", "ddim", "--problem", "gaussian", "--nfe", "5,8", "--cell-timeout", 10,
                    "--memory", 2, "--jobs", 2, "--name", "r")  # fmt: skip
    records = {(r["solver"], r["budget"]): r for r in small.told(ended(words, 3).stdout)}
    assert len(records) == 12
    reasons = {solver: r["reason"] for (solver, budget), r in records.items() if r["status"] == "failed"}
    assert set(reasons) == {"crash", "leave", "hang", "eat"}
    assert "killed by SIGSEGV" in reasons["crash"]
    assert "exited with code 7" in reasons["leave"]
    assert "no result within 10 s" in reasons["hang"]
    assert "MemoryError" in reasons["eat"]
    assert {status for (s, _), r in records.items() for status in [r["status"]] if s in ("fine", "ddim")} == {"ok"}
    # nothing that failed is kept for later: it is tried again, and fails again
    again = ended([*words[:-2], "--resume", tmp_path / "reports" / "small" / "r"], 3)
    assert "4 cells, 4 failed" in again.stderr


def test_a_killed_run_is_resumed_to_the_same_numbers(command, tmp_path):
    whole = small.told(ended(command("--name", "whole", "--no-cache")).stdout)
    for seed in range(2):
        _killed_and_resumed(command, tmp_path, whole, seed)


@pytest.mark.slow  # 50 runs of several seconds
def test_fifty_killed_runs_are_resumed_to_the_same_numbers(command, tmp_path):
    whole = small.told(ended(command("--name", "whole", "--no-cache")).stdout)
    for seed in range(50):
        _killed_and_resumed(command, tmp_path, whole, seed)


def _killed_and_resumed(command, tmp_path, whole, seed):
    """Kill the run (even seeds) or a worker of it (odd ones) when some random number of cells is finished."""
    chance, name = random.Random(seed), f"killed-{seed}"
    folder = tmp_path / "reports" / "small" / name
    words = command("--name", name, "--no-cache", "--jobs", 2)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    until = chance.randrange(len(whole))
    if not until:  # while it starts
        time.sleep(chance.uniform(0, 2))
    lines = 0
    while process.poll() is None and lines < until:
        time.sleep(0.002)
        cells = folder / "cells.jsonl"
        lines = cells.read_bytes().count(b"\n") if cells.exists() else 0
    workers = _children(process.pid)
    if seed % 2 and workers:
        os.kill(chance.choice(workers), signal.SIGKILL)
        process.communicate(timeout=600)
    else:
        process.kill()
        process.communicate(timeout=600)
        assert process.returncode in (-signal.SIGKILL, 0)
        if not (folder / "manifest.json").exists():  # it had not begun
            ended(words)
            assert numbers(kept(folder)) == numbers(whole)
            return
        with open(folder / "cells.jsonl", "ab") as cells:
            cells.write(b'{"cell": "torn')  # as a crash of the machine may leave it
    before = [json.loads(line) for line in (folder / "cells.jsonl").read_bytes().split(b"\n")[:-1]]
    ended([*command("--no-cache"), "--resume", str(folder)])
    after = kept(folder)
    assert after[: len(before)] == before  # nothing is lost
    assert numbers(after) == numbers(whole)


def _children(pid):
    """The worker processes of a run: its children that run Python's spawn."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def test_a_disk_that_is_full_loses_nothing(command, tmp_path):
    """A limit on the size of files stands in for the disk: the ninth kilobyte of cells.jsonl cannot be written."""
    words = command("--name", "r", "--no-cache", "--jobs", 1)
    done = ended(["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *words], 3)
    folder = tmp_path / "reports" / "small" / "r"
    assert len(done.stderr.splitlines()[-1]) < 400
    assert done.stderr.splitlines()[-1].startswith(
        f"error: cannot write to {folder}: File too large; the cells finished"
    )
    written = (folder / "cells.jsonl").read_bytes()
    before = [json.loads(line) for line in written[: written.rfind(b"\n")].splitlines()]
    assert 3 < len(before) < 30
    ended([*command(), "--resume", str(folder)])
    assert kept(folder)[: len(before)] == before
    assert len(kept(folder)) == 30


def test_ctrl_c_says_how_to_go_on(command, tmp_path):
    folder = tmp_path / "reports" / "small" / "r"
    (tmp_path / "evil.py").write_text(EVIL)
    words = command("--solver", "ddim", "--solver", f"{tmp_path}/evil.py:hang", "--nfe", "3,5", "--name", "r",
                    "--jobs", 1)  # fmt: skip
    process = begun(words, folder)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert f"go on with --resume {folder}" in err
    assert kept(folder)


@pytest.mark.parametrize("pause", [0.0, 0.4])  # while workers are ended, while tables are printed
def test_ctrl_c_twice_stops_now_and_loses_nothing(command, tmp_path, pause):
    folder = tmp_path / "reports" / "small" / "r"
    words = command("--solver", "ddim", "--solver", f"{tmp_path}/evil.py:hang", "--nfe", "3,5", "--name", "r",
                    "--jobs", 2)  # fmt: skip
    process = begun([word for word in words if word not in ("--json", "--no-report")], folder)
    before, workers = kept(folder), _children(process.pid)
    process.send_signal(signal.SIGINT)
    time.sleep(pause)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)  # to a shell the same: the second found Python gone
    assert "interrupted" in err
    assert "Traceback" not in err
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    ended([*command("--cell-timeout", 2), "--resume", str(folder)], 3)
    assert kept(folder)[: len(before)] == before


@pytest.mark.parametrize("left", [[], ["cells.jsonl"], ["cells.jsonl", ".manifest.json"]])
def test_a_run_that_died_before_its_manifest_is_begun_again(command, tmp_path, left):
    folder = tmp_path / "reports" / "small" / "r"
    folder.mkdir(parents=True)
    for name in left:
        (folder / name).touch()
    ended(command("--name", "r", "--in-process", "--solver", "ddim", "--problem", "gaussian"))
    assert len(kept(folder)) == 3


def test_two_runs_into_one_folder(command, tmp_path):
    from solverbench.errors import UsageError
    from solverbench.run.store import RunFolder

    folder = RunFolder(tmp_path, "small", "x")
    folder.manifest({"cells": 1})
    with pytest.raises(UsageError, match="x is being written by another process"):
        RunFolder.again(folder.path)
    folder.close()
    RunFolder.again(folder.path).close()


def test_whoever_comes_while_a_run_lets_go_of_its_folder_has_it_alone(tmp_path):
    """A run that starts in the very moment at which another ends is not joined by a third."""
    from solverbench.errors import UsageError
    from solverbench.run.store import RunFolder

    first = RunFolder(tmp_path, "small", "x")
    first.manifest({"cells": 1})
    lock, came = first._lock, []
    first._lock = SimpleNamespace(release=lambda: (lock.release(), came.append(RunFolder.again(first.path))))
    first.close()
    with pytest.raises(UsageError, match="x is being written by another process"):
        RunFolder.again(first.path)
    came[0].close()


def test_what_a_report_cannot_read_is_run_again(command, tmp_path):
    """A line is a record to both or to neither: else a cell is in no table, and no resuming brings it back."""
    words = command("--solver", "ddim", "--problem", "gaussian", "--nfe", "5,8,10", "--name", "r", "--in-process")
    whole = small.told(ended(words).stdout)
    lines = (cells := tmp_path / "reports/small/r/cells.jsonl").read_text("utf-8").splitlines(keepends=True)
    cells.write_text(lines[0].replace('"budget": 5', '"budget": "5"') + lines[1][:40] + "\n" + lines[2], "utf-8")
    records, warnings = _records(cells)
    assert (len(records), [w.split(" and ")[0] for w in warnings]) == (
        1, ["cells.jsonl line 1 is not a record", "cells.jsonl line 2 is not a record"])  # fmt: skip
    ended([*words[:-3], "--in-process", "--resume", tmp_path / "reports/small/r"])
    assert numbers(_records(cells)[0]) == numbers(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: (p / "small.toml").write_text((p / "small.toml").read_text() + "\n# changed"),
            "small.toml' has changed",
        ),
        (lambda p: (p / "evil.py").write_text(EVIL + "\n# changed"), r"evil.py has changed"),
        (lambda p: (p / "reports/small/r/manifest.json").unlink(), "holds no run that could be resumed"),
        (
            lambda p: (m := p / "reports/small/r/manifest.json").write_text(m.read_text().replace('"files"', '"old"')),
            "is no manifest of this version .KeyError: .files..: start a new run",
        ),
    ],
)
def test_what_has_changed_is_not_resumed(command, tmp_path, change, message):
    import re

    ended(command("--solver", f"{tmp_path}/evil.py:fine", "--problem", "gaussian", "--name", "r", "--in-process"))
    change(tmp_path)
    done = ended([*command(), "--resume", str(tmp_path / "reports/small/r")], 2)
    assert re.search(message, done.stderr)
