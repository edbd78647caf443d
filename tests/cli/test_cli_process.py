"""What only a process of its own shows: streams, speed of the start, and what is not imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
import small

HEAVY = ("torch", "pandas", "seaborn", "scipy", "matplotlib")


def python(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, **options)


def best_of_five(*arguments):
    """Seconds of the fastest of five runs, interpreter included."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        assert python(*arguments).returncode == 0
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def test_help_is_quick():
    assert best_of_five("-m", "solverbench", "--help") < 0.4


def test_the_import_is_quick():
    assert best_of_five("-c", "import solverbench") < 0.25


@pytest.mark.parametrize(
    "code",
    [
        "import solverbench",
        "import solverbench; solverbench.solver; solverbench.grid; solverbench.path('edm')",
        "from solverbench.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from solverbench.cli import main\ntry: main(['list', 'grids', '--json'])\nexcept SystemExit: pass",
    ],
)
def test_light_things_import_nothing_heavy(code):
    ended = python("-c", f"{code}\nimport sys\nprint('loaded', [m for m in {HEAVY} if m in sys.modules])")
    assert ended.stdout.splitlines()[-1] == "loaded []"
    assert ended.stderr == ""


def test_a_worker_imports_nothing_that_its_cells_do_not_need():
    slow = ("scipy.integrate", "scipy.stats", "matplotlib", "pandas", "solverbench.orders")
    code = "import solverbench.run.workers, solverbench.problems.law, solverbench.problems.paired, sys"
    ended = python("-c", f"{code}\nprint('loaded', [m for m in {slow} if m in sys.modules])")
    assert (ended.stdout, ended.stderr) == ("loaded []\n", "")


def test_streams_are_apart_and_codes_arrive():
    listed = python("-m", "solverbench", "list", "solvers", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert len(json.loads(listed.stdout)) > 30
    wrong = python("-m", "solverbench", "lst")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "did you mean list?" in wrong.stderr


def test_a_run_of_the_shipped_suite(tmp_path):
    """The only test of these folders that runs on the shipped parameters, in a directory that is not the checkout's."""
    arguments = ["run", "--quick", "--problem", "cifar10-gaussian", "--solver", "ddim", "--nfe", "5", "--json"]
    environment = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg",
                   "SOLVERBENCH_CACHE": str(tmp_path / "cache")}  # fmt: skip
    ran = python("-m", "solverbench", *arguments, cwd=tmp_path, env=environment)
    assert ran.returncode == 0
    (record,) = small.told(ran.stdout)
    assert (record["solver"], record["nfe"], record["status"]) == ("ddim", 5, "ok")
    assert "1 cells in" in ran.stderr
    (folder,) = (tmp_path / "reports" / "cifar10").iterdir()
    assert json.loads((folder / "cells.jsonl").read_text()) == record
    assert json.loads((folder / "manifest.json").read_text())["command"].startswith("solverbench run --quick")


def test_a_reader_that_has_seen_enough_is_no_error_and_no_verdict():
    process = subprocess.Popen(
        [sys.executable, "-m", "solverbench", "list", "solvers", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(60), errors) == (141, "")


def test_a_full_disk_is_one_line_and_code_3():
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb") as full:
        ended = subprocess.run([sys.executable, "-m", "solverbench", "list", "grids"], stdout=full,
                               stderr=subprocess.PIPE, text=True, timeout=60)  # fmt: skip
    assert (ended.returncode, ended.stderr) == (3, "error: No space left on device\n")
