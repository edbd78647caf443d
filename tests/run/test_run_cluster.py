"""Runs on a Dask cluster: a scheduler and workers on loopback, killed and added; the numbers are those of home."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small

from solverbench.cli import main
from solverbench.errors import UsageError
from solverbench.methods.user import load_file
from solverbench.problems.base import ProblemSpec, build
from solverbench.run import cells, cluster, remote, runner, store, suite
from solverbench.run.workers import Limits, Processes

FIELDS = f"""
import sys

sys.path.insert(0, {str(Path(small.__file__).parent)!r})
import small


def gaussian():
    from parts.fields import gaussian

    return gaussian()


def mixture():
    return small.mixture()
"""
HELPERS = """
def euler(x, path, grid, do=lambda: None):
    if len(grid) == 5:
        do()
    for s, t in grid.steps:
        x = x + (t - s) * x.predict("velocity", at=s)
    return x
"""
SOLVERS = """
import os, pathlib, signal, time
import solverbench
from helpers import euler

FILES = ("numbers.txt",)
assert pathlib.Path(__file__).with_name("numbers.txt").read_text() == "1"


@solverbench.solver("mine")
def mine(x, path, grid):
    return euler(x, path, grid)


@solverbench.solver("crash")
def crash(x, path, grid):
    return euler(x, path, grid, lambda: os.kill(os.getpid(), signal.SIGSEGV))


@solverbench.solver("hang")
def hang(x, path, grid):
    return euler(x, path, grid, lambda: time.sleep(1000))


@solverbench.solver("idle")
def idle(x, path, grid):
    return euler(x, path, grid, lambda: time.sleep(float(os.environ.get("IDLE", "0"))))
"""
SUITE = """
schema = 1
name = "small"
nfe = [3, 4, 5, 6]
solvers = ["ddim", "dpmpp-1", "heun", "ddpm"]
{problems}
"""
HERE_ONLY = """
import os
import sys


def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and str(arguments[0]).startswith(os.environ["NOT_HERE"]):
        raise RuntimeError(f"a worker reads the disk of the run: {arguments[0]}")


sys.addaudithook(watch)
"""
TIMINGS = {"seconds", "sampling_seconds", "field_seconds", "overhead_seconds", "peak_memory", "reused", "traceback"}
PATIENCE = 600


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of a user: a suite, programs with modules beside them, a file of numbers, runs, a cache."""
    home = tmp_path / "home"
    monkeypatch.setenv("SOLVERBENCH_CACHE", str(home / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    problems = small.PROBLEMS
    for name in ("gaussian", "mixture"):
        problems = problems.replace(f'"cifar10-{name}"', f'"{home}/fields.py:{name}"')
    problems += f'[[problems]]\nname = "spectrum"\nfield = "{home}/spectrum.npy"\nkind = "law"\nnfe = [4]\n'
    for name, text in {"fields.py": FIELDS, "parts/fields.py": "from small import gaussian", "helpers.py": HELPERS,
                       "numbers.txt": "1",
                       "mine.py": SOLVERS, "small.toml": SUITE.format(problems=problems)}.items():  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    np.save(home / "spectrum.npy", np.linspace(0.1, 1, 4))
    return home


@pytest.fixture
def command(home):
    """command(*arguments): `solverbench run` on the small suite with solvers of its own, as the list of its words."""
    fixed = ["--suite", str(home / "small.toml"), "--out", str(home / "reports"), "--no-cache"]
    return lambda *arguments: [sys.executable, "-m", "solverbench", "run", *fixed, *map(str, arguments)]


@pytest.fixture
def dask(tmp_path):
    """dask("scheduler" or "worker", *arguments): one of the processes of a cluster, killed at the end of the test."""
    pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'solverbench[cluster]'")
    started = []

    def start(what, *arguments, **environment):
        words = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *map(str, arguments)]
        place = tmp_path / f"{what}-{len(started)}"
        place.mkdir()
        with open(place / "log", "w") as log:
            process = subprocess.Popen(
                words, cwd=place, stdout=log, stderr=log, env=os.environ | environment, start_new_session=True
            )
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(dask, tmp_path):
    """The address of a scheduler."""
    file = tmp_path / "scheduler.json"
    dask("scheduler", "--scheduler-file", file, "--host", "127.0.0.1", "--port", 0)
    wait(lambda: file.exists() and file.read_text().endswith("}"))
    return json.loads(file.read_text())["address"]


def wait(until, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


def lines(folder):
    file = folder / "cells.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def numbers(folder):
    """Everything in the records but what time it took; each cell is there once."""
    records = [json.loads(line) for line in (folder / "cells.jsonl").read_text().splitlines()]
    found = {r["cell"]: {k: v for k, v in r.items() if k not in TIMINGS} for r in records}
    assert len(found) == len(records)
    return dict(sorted(found.items()))


def at_work(scheduler, name):
    from distributed import Client

    with Client(scheduler, set_as_default=False) as client:
        called = {worker["name"]: address for address, worker in client.scheduler_info()["workers"].items()}
        return bool(client.processing().get(called.get(name)))


def test_workers_killed_and_added_give_the_numbers_of_a_run_at_home(home, dask, scheduler, tmp_path):
    """One worker is killed at work, another joins then. They share no disk, home or cache with the run: files come by
    hash, and whatever is opened or listed in its folder is an error.
    """
    there = tmp_path / "there"
    there.mkdir()
    (there / "sitecustomize.py").write_text(HERE_ONLY)
    alone = {"NOT_HERE": str(home), "IDLE": "3", "HOME": str(there), "SOLVERBENCH_CACHE": str(there / "cache"),
             "PYTHONPATH": os.pathsep.join([str(there), os.environ["PYTHONPATH"]])}  # fmt: skip
    loaded = suite.load(str(home / "small.toml"))
    chosen = cells.select(loaded, solvers=[*load_file(str(home / "mine.py:mine")), "crash", "idle", "heun", "ddpm"])
    first = dask("worker", scheduler, "--nthreads", 1, "--no-nanny", "--name", "first", **alone)
    dask("worker", scheduler, "--nthreads", 1, "--nanny", **alone)
    said, done = [], []

    def finished(record):
        done.append(record)
        if len(done) >= 3 and first.poll() is None and at_work(scheduler, "first"):
            first.kill()
            first.wait()
            dask("worker", scheduler, "--nthreads", 2, "--no-nanny", **alone)

    def ran(name, execute, then):
        folder = store.RunFolder(home, "small", name)
        assert runner.run(loaded, chosen, folder, execute=execute, say=said.append, done=then).exit_code == 3
        return numbers(folder.path)

    found = ran("cluster", cluster.Dask(scheduler, 1, Limits(), True), finished)
    assert found == ran("home", Processes(1), lambda record: None)
    assert len(found) == 45
    failed = {(r["solver"], r["reason"]) for r in found.values() if r["status"] == "failed"}
    assert failed == {("crash", "its process was killed by SIGSEGV")}  # the solver's doing: not tried again
    assert any(" is lost: " in text and text.endswith("go to others") for text in said)
    kept = {file.stem for file in (there / "cache" / "cells").glob("*/*.json")}
    assert {r["identity"] for r in found.values() if r["problem"] == "spectrum" and r["status"] == "ok"} < kept
    assert not (home / "cache").exists()


def test_ctrl_c_on_a_cluster_of_this_machine(command, home):
    """A LocalCluster; the whole group of processes is interrupted, as by a terminal, and none is left."""
    pytest.importorskip("distributed", reason="dask.distributed is not installed: pip install 'solverbench[cluster]'")
    folder = home / "reports" / "small" / "r"
    words = command("--solver", f"{home}/mine.py:hang", "--solver", "ddim", "--name", "r", "--problem", "gaussian",
                    "--executor", "dask", "--jobs", 1)  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait(lambda: lines(folder) >= 3 or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)  # ends only when nobody holds our pipes any more
    assert process.returncode == 130, said
    assert f"go on with --resume {folder}" in said


def test_what_cannot_be_is_said_before_the_run(monkeypatch):
    other = remote.Greeting({**remote.versions(), "numpy": "1.0"}, {}, 1)
    study = cluster._Study(None, [], cluster.Dask(None, 1, cluster.Limits(), False))
    study.first = study.present = {"tcp://a:1"}
    with pytest.raises(UsageError, match=r"numpy 1.0 where this process has .*install the same"):
        list(study._welcome("tcp://a:1", other))
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"needs dask.distributed: pip install 'solverbench\[cluster\]'"):
        list(cluster.Dask(None, 1, cluster.Limits(), False)([]))


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr("solverbench.engines.cupy.device.why_not", lambda: "torch sees no GPU")


def test_a_worker_says_why_it_has_no_gpu_where_that_is_asked(no_gpu, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    state = SimpleNamespace(total_resources={"GPU": 1.0}, nthreads=2)
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(state=state))
    assert remote.greet(True) == remote.Greeting(remote.versions(), {"GPU": 1.0}, 2, "torch sees no GPU")
    assert remote.greet(False) == remote.Greeting(remote.versions(), {"GPU": 1.0}, 2)


def test_whoever_gives_out_cells_needs_no_gpu(no_gpu, home, capsys, monkeypatch):
    """Where cells run is asked, unless something is computed here as well; a resumed run keeps its device."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["run", "--suite", str(home / "small.toml"), "--dry-run", *map(str, arguments)])
        out, err = capsys.readouterr()
        return end.value.code, out.count("spectrum"), err

    away = ["--executor", "dask", "--scheduler", "tcp://127.0.0.1:1"]
    here = "device 'cuda' cannot be used here: torch sees no GPU"
    assert run("--device", "cuda", *away) == (0, 4, "")
    for code, _, err in (run("--device", "cuda"), run("--device", "cuda", *away, "--timing", 3),
                         run("--device", "cuda", "--executor", "dask")):  # fmt: skip
        assert (code, here in err) == (2, True)
    code, _, err = run("--device", "auto", *away)
    assert (code, "say cuda or cpu with --scheduler" in err) == (2, True)

    folder = store.RunFolder(home, "small", "r")
    asked = {"suite": str(home / "small.toml"), "scale": "full", "solvers": [], "problems": [], "nfe": [], "seed": 0}
    folder.manifest({"files": {}, "asked": asked | {"device": "cuda"}, "suite_hash": suite.load(asked["suite"]).digest})
    folder.close()
    monkeypatch.setattr(store.RunFolder, "again", lambda path: folder)
    code, _, err = run("--resume", folder.path)
    assert (code, here in err) == (2, True)
    assert run("--resume", folder.path, *away) == (0, 4, "")


def test_a_network_is_opened_on_the_cpu_where_its_cells_are_only_given_out(no_gpu):
    made = build(ProblemSpec("a", "cifar10-unet", "trajectory", device="cuda"), 0)
    assert (made.spec.device, made.field.device.type) == ("cuda", "cpu")
