"""Everything worth knowing of a GPU in one table: python tests/gpu/measure.py

Bandwidth of the kernels as a share of a device copy measured beside them, and the time of a step beside diffusers'.
Medians of repeated launches between events; the field is a multiplication, so that a step is the solver's own.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch
from tabulate import tabulate

import solverbench as sb
from solverbench.engines.cupy.combine import Draw, combine
from solverbench.engines.cupy.device import device, why_not
from solverbench.engines.cupy.runner import Runner
from solverbench.engines.torch import Runner as TorchRunner

SAMPLES, D, REPEATS = 4096, 3072, 30


def seconds(run, *arguments):
    """Median time of a launch on the device."""
    for _ in range(3):
        run(*arguments)
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run(*arguments)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def wall(run, *arguments):
    """Median time of a whole run as its caller sees it."""
    times = []
    for k in range(REPEATS // 3 + 3):
        torch.cuda.synchronize()
        started = time.perf_counter()
        run(*arguments)
        torch.cuda.synchronize()
        if k >= 3:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def bandwidths():
    """Bytes a second of a copy, of combinations, and of combinations with noise."""
    gpu = device(0)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        rows = [torch.randn(SAMPLES, D, device="cuda").to(dtype) for _ in range(8)]
        out = torch.empty_like(rows[0])
        each = out.numel() * out.element_size()
        copy = 2 * each / seconds(out.copy_, rows[0])
        yield "device copy", dtype, copy, 1.0
        for K in (1, 2, 3, 4, 8):
            for draws in ([], [(Draw(0, 1, 0), 0.5)]):
                rate = (K + 1) * each / seconds(combine, gpu, out, rows[:K], [0.5] * K, draws)
                yield f"{K} rows" + (" and noise" if draws else ""), dtype, rate, rate / copy


def steps(count=20):
    """Seconds a step of each engine and of diffusers, on small and large states."""
    from diffusers import DDIMScheduler

    def field(x, t):
        return x * 0.1

    def theirs(x):
        for t in scheduler.timesteps:
            x = scheduler.step(field(x, t), t, x).prev_sample

    plan = sb.plan("ddim", "vp-linear", sb.grid("uniform", "vp-linear", count), prediction="noise")
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(count, device="cuda")
    for samples in (4, 256):
        x = torch.randn(samples, 3, 32, 32, device="cuda")
        yield "torch", samples, wall(TorchRunner(plan, samples, (3, 32, 32), torch.float32, "cuda"), field, x) / count
        engine = Runner(plan, samples, (3, 32, 32), torch.float32)
        yield "cupy", samples, wall(engine, field, x) / count
        yield "cupy, captured", samples, wall(engine.capture(field, x)) / count
        yield "diffusers DDIMScheduler", samples, wall(theirs, x) / count


def main():
    """Print the tables."""
    if reason := why_not():
        sys.exit(f"no measurements here: {reason}")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {SAMPLES} x {D}\n")
    rows = [(what, str(t).removeprefix("torch."), f"{r / 1e9:.0f}", f"{s:.0%}") for what, t, r, s in bandwidths()]
    print(tabulate(rows, ["kernel", "dtype", "GB/s", "of a copy"], tablefmt="github", disable_numparse=True), "\n")
    rows = [(name, n, f"{s * 1e6:.1f}") for name, n, s in steps()]
    print(tabulate(rows, ["engine", "samples", "us per step"], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
