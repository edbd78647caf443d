"""Timing side by side: interleaved rounds, and their ratios printed under the benchmark tables."""

import os
import time

import numpy as np
import pytest
import torch

LINES = pytest.StashKey[list]()


@pytest.fixture(autouse=True)
def all_cores():
    """Speed is measured with the cores there are; tests elsewhere use one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def side_by_side(request):
    """side_by_side(title, {name: callable}) -> median seconds by name; printed as ratios to the first name.

    Rounds are interleaved so that a slow moment of the machine falls on all alike. Without --benchmark-enable there is
    one round and nothing is printed.
    """
    option = request.config.getoption
    enabled = option("benchmark_enable") or not option("benchmark_disable")

    def run(title, candidates, rounds=25, per=1, note=lambda seconds: ""):
        seconds = {name: [] for name in candidates}
        for _ in range(rounds + 2 if enabled else 1):
            for name, function in candidates.items():
                started = time.perf_counter()
                function()
                seconds[name].append(time.perf_counter() - started)
        median = {name: float(np.median(s[2:] or s)) for name, s in seconds.items()}
        first = next(iter(median.values()))
        parts = [f"{name} {s / per * 1e6:.0f} us ({s / first:.2f}x)" for name, s in median.items()]
        if enabled:
            lines = request.config.stash.setdefault(LINES, [])
            lines.append(f"{title}: {', '.join(parts)}{note(median)}")
        return median

    return run


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash.get(LINES, [])
    if lines:
        terminalreporter.section("side by side, medians of interleaved rounds")
        for line in lines:
            terminalreporter.write_line(line)
