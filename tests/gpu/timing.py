"""How the script beside this one times things on a GPU, and the rows of its tables.

Times on the device are medians between events of launches that were all queued beforehand, while the device slept, so
that the host is not in them; each pass goes through sets of arrays that together are larger than the second-level
cache several times. Times of runs are by the wall clock, with one synchronisation at the end.
"""

from __future__ import annotations

import importlib.metadata
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

CACHE = 50 << 20
"""Bytes of an H100's second-level cache, the largest so far."""
COLUMNS = ("what", "on", "time", "GB/s", "beside it", "ratio", "difference")


@dataclass
class Row:
    """One line of the page."""

    what: str
    on: str
    time: float = float("nan")
    bandwidth: float | None = None
    beside: str = ""
    ratio: float | None = None
    """Of the other's time to this one's, or of this bandwidth to the copy's."""
    difference: float | None = None
    """Largest difference of the results over their largest entry."""

    def cells(self) -> list[str]:
        rate = "" if self.bandwidth is None else f"{self.bandwidth / 1e9:.0f}"
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        difference = "" if self.difference is None else f"{self.difference:.1e}"
        return [self.what, self.on, duration(self.time), rate, self.beside, ratio, difference]


Task = tuple[str, str, Callable[[], Row | list[Row]]]
"""What, on what, and a function that measures it."""


@dataclass
class Bench:
    """A device, how it is timed, and what was found out so far."""

    gpu: Any
    where: str = "cuda"
    repeats: int = 15
    best_copy: float = float("nan")

    def device_seconds(self, run: Callable[[int], Any], sets: int = 1) -> float:
        """Median time on the device of run(i), i going through `sets` sets of arrays."""
        started = time.perf_counter()
        for i in range(sets + 1):
            run(i % sets)
        self.wait()
        if self.where == "cpu":
            return (time.perf_counter() - started) / (sets + 1)
        started = time.perf_counter()
        run(0)
        self.wait()
        each = (time.perf_counter() - started) * sets
        repeats = max(3, min(self.repeats, int(0.4 / each)))
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
        torch.cuda._sleep(int(4e7))  # some twenty milliseconds in which the host gets ahead
        for start, end in events:
            start.record()
            for i in range(sets):
                run(i)
            end.record()
        self.wait()
        return statistics.median(start.elapsed_time(end) for start, end in events) / 1e3 / sets

    def wall_seconds(self, run: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> float:
        """Median time of run() as its caller sees it, each after before(); short ones repeated for 0.02 s in all."""
        times: list[float] = []
        while len(times) < self.repeats + 2 or sum(times) < self.repeats * 0.02:
            before()
            self.wait()
            started = time.perf_counter()
            run()
            self.wait()
            times.append(time.perf_counter() - started)
            if sum(times) > 2 and len(times) > 3:
                break
        return statistics.median(times[2:] or times)

    def wait(self) -> None:
        """Until the device has nothing to do."""
        if self.where == "cuda":
            torch.cuda.synchronize()

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """Random numbers on the device."""
        return torch.randn(*shape, device=self.where).to(dtype)


def machine(bench: Bench) -> str:
    """The device and all versions, as a heading and two sentences."""
    versions = [f"{name} {version(name)}" for name in ("torch", "cupy-cuda12x", "cupy-cuda13x", "diffusers", "numpy")]
    found = ", ".join(v for v in versions if not v.endswith(" -"))
    about = f"{found}, Python {sys.version.split()[0]}, CUDA {torch.version.cuda} of torch"
    if bench.where != "cuda":
        return f"this machine's CPU\n\n{about}; kernels run by the host's compiler: no measurement."
    import cupy

    p = torch.cuda.get_device_properties(0)
    about += f", {cupy.cuda.runtime.runtimeGetVersion()} of cupy, NVRTC {cupy.cuda.nvrtc.getVersion()}"
    about += f", driver {driver()}"
    memory = f"{p.multi_processor_count} multiprocessors, {p.total_memory / 2**30:.0f} GiB"
    return f"{p.name}\n\n{memory}, sm_{p.major}{p.minor}; {about}. Made by `python tests/gpu/measure.py`."


def sets_of(size: int) -> int:
    """How many sets of so many bytes a pass goes through, so that none is still in the cache when its turn comes."""
    return max(2, -(-4 * CACHE // size))


def driver() -> str:
    """Its version, as the vendor's tool says it."""
    command = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,clocks.max.mem", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip().splitlines()[0] + " (largest clocks)"
    except Exception as error:
        return reason(error)


def version(package: str) -> str:
    """Of an installed package, or -."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def reason(error: Exception) -> str:
    """An error in one cell of a table."""
    return f"{type(error).__name__}: {error}".replace("|", "/").replace("\n", " ")[:160]


def duration(seconds: float) -> str:
    """12.3 us, 4.56 ms."""
    if seconds != seconds:
        return "-"
    scale, unit = next((s, u) for s, u in ((1, "s"), (1e-3, "ms"), (0, "us")) if seconds >= s)
    return f"{seconds / (scale or 1e-6):.3g} {unit}"


def amount(size: int) -> str:
    """Bytes in words."""
    return f"{size >> 20} MiB"


def kind(dtype: torch.dtype) -> str:
    """float32"""
    return str(dtype).removeprefix("torch.")
