"""What a cluster costs a cell, and what two workers gain: python tests/bench/cluster_overhead.py

Cells do nothing but sleep, so that what is measured is the way there and back and not the machine's cores. Start-up is
left out: time runs from the first finished cell to the last.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from solverbench.methods.user import load_file
from solverbench.problems.base import ProblemSpec
from solverbench.run import cells
from solverbench.run.bench import Done
from solverbench.run.cluster import Dask
from solverbench.run.store import RunFolder
from solverbench.run.suite import Suite
from solverbench.run.workers import Limits, Processes

SLEEPY = """
import time
import solverbench


@solverbench.solver("sleepy")
def sleepy(x, path, grid, *, k: int = 0, ms: int = 0):
    time.sleep(ms / 1000)
    for s, t in grid.steps:
        x = x + (1 + 1e-4 * k) * (t - s) * x.predict("velocity", at=s)  # programs of their own
    return x
"""


def main() -> None:
    """Print milliseconds per cell, also among many solvers, efficiency, and what follows for 10^6 cells."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sleepy.py").write_text(SLEEPY)
        np.save(folder / "spectrum.npy", np.linspace(0.1, 1, 16))
        load_file(str(folder / "sleepy.py"))
        problem = ProblemSpec("gaussian", f"{folder}/spectrum.npy", "law")
        sleepy = Suite("sleepy", "", (4,), ("ddim",), (problem,), "full", "")

        def selected(count, ms):
            return cells.select(sleepy, solvers=[f"sleepy[k={k},ms={ms}]" for k in range(1, count + 1)]).cells

        found = {}
        for what, make in (("processes", Processes), ("dask", lambda n: Dask(None, n, Limits(), False))):
            for ms, count, jobs in ((0, 200, 1), (200, 30, 1), (200, 60, 2)):
                wall, seconds, records = timed(make(jobs), selected(count, ms))
                overhead = (wall * jobs - sum(seconds)) / len(seconds)
                found[what, ms, jobs] = overhead
                print(
                    f"{what}, {jobs} workers, cells of {sum(seconds) / len(seconds) * 1e3:.1f} ms: "
                    f"{overhead * 1e3:.1f} ms more a cell, efficiency {sum(seconds) / (wall * jobs):.0%}"
                )
        for count in (50, 200, 800):
            wall, seconds, _ = timed(Processes(1), selected(count, 0))
            print(f"{count} solvers at one budget: {wall / len(seconds) * 1e3:.1f} ms a cell, all in all")
        size, writing = written(folder, records)
        print(f"record: {size:.0f} bytes, {writing * 1e3:.2f} ms to write and synchronise")
        each = found["dask", 0, 1] + writing
        print(
            f"projection: 10^6 cells are {size / 1e3:.1f} GB of records, and take the one writer and the scheduler "
            f"{each * 1e6 / 3600:.1f} h; 1,000 workers are kept busy by cells of {each * 1e3:.1f} s or more"
        )


def timed(execute, chosen):
    """(seconds from the first finished cell to the last, those of each cell but the first, their records)."""
    times, records = [], []
    for event in execute(chosen):
        if isinstance(event, Done):
            times.append(time.perf_counter())
            records.append(event.record)
    return times[-1] - times[0], [record["seconds"] for record in records[1:]], records


def written(folder, records):
    """(bytes, seconds) of one record in a run folder."""
    run = RunFolder(folder, "sleepy", "r")
    started = time.perf_counter()
    for record in records:
        run.append(record)
    took = time.perf_counter() - started
    run.close()
    size = sum(len(json.dumps(record)) + 1 for record in records)
    return size / len(records), took / len(records)


if __name__ == "__main__":
    main()
