"""Everything worth knowing of a GPU on one page: python tests/gpu/measure.py [--out docs/gpu-measured.md]

Bandwidth of the kernels as a share of the best copy that the device does, fields and measures beside the same in torch
or numpy, exact laws beside the numpy engine, and what a step costs outside the model in our engines and in diffusers.
A row that fails says why and the next one goes on; the page is written again after every section.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from timing import COLUMNS, Bench, Row, Task, amount, duration, kind, machine, reason, sets_of

import solverbench as sb
from solverbench.engines import law as law_on_cpu
from solverbench.engines.cupy import law
from solverbench.engines.cupy.combine import Draw, combine
from solverbench.engines.cupy.device import device, why_not
from solverbench.engines.cupy.mixture import FusedMixture
from solverbench.engines.cupy.moments import Moments
from solverbench.engines.cupy.runner import Runner
from solverbench.engines.torch import Runner as TorchRunner
from solverbench.fields import Gaussian, Mixture
from solverbench.measures.frechet import frechet_squared

TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
DIFFUSERS = {"ddim": "DDIMScheduler", "dpmpp-2m": "DPMSolverMultistepScheduler", "ddpm": "DDPMScheduler"}


@dataclass(frozen=True)
class Sizes:
    """How large everything is; smaller ones let the script itself be tested."""

    samples: int = 4096
    d: int = 3072
    copies: tuple[int, ...] = (64 << 20, 256 << 20, 1 << 30)
    features: tuple[int, int] = (10_000, 2048)
    budgets: tuple[int, ...] = (5, 10, 20)
    solvers: int | None = None
    """How many of those there are; all by default."""
    batches: tuple[int, ...] = (4, 256, 4096)
    steps: int = 20


FULL = Sizes()


def copies(bench: Bench, sizes: Sizes) -> Iterator[Task]:
    """The best that the device does: a copy by the driver and one by torch's kernel, at several sizes."""

    def copied(size: int, how: str) -> Row:
        sets = sets_of(2 * size)
        arrays = [torch.empty(2, size // 4, device=bench.where).fill_(1) for _ in range(sets)]
        run = {
            "copy_": lambda i: arrays[i][1].copy_(arrays[i][0]),
            "neg": lambda i: torch.neg(arrays[i][0], out=arrays[i][1]),
        }[how]
        seconds = bench.device_seconds(run, sets)
        rate = 2 * (size // 4) * 4 / seconds
        bench.best_copy = float(np.fmax(bench.best_copy, rate))
        return Row(f"torch {how}", amount(size), seconds, rate)

    for size in sizes.copies:
        for how in ("copy_", "neg"):
            yield f"torch {how}", amount(size), lambda size=size, how=how: copied(size, how)


def combinations(bench: Bench, sizes: Sizes) -> Iterator[Task]:
    """Linear combinations, beside the same by torch, one operation after another; ratio: to the best copy above."""
    n, d = sizes.samples, sizes.d

    def combined(K: int, dtype: torch.dtype, noise: bool, bound: bool = False) -> Row:
        each = n * d * dtype.itemsize
        sets = sets_of((K + 1) * each)
        arrays = [[bench.normal(n, d, dtype=dtype) for _ in range(K + 1)] for _ in range(sets)]
        draws = [(Draw(0, 1, 0), 0.5)] if noise else []
        options = {"bound": torch.full((n,), 2.0, dtype=torch.float64, device=bench.where)} if bound else {}
        coefficients = [0.5 / (k + 1) for k in range(K)]

        def ours(i: int) -> None:
            combine(bench.gpu, arrays[i][K], arrays[i][:K], coefficients, draws, **options)

        def theirs(i: int) -> None:
            *rows, out = arrays[i]
            torch.mul(rows[0], coefficients[0], out=out)
            for c, row in zip(coefficients[1:], rows[1:], strict=True):
                out.add_(row, alpha=c)
            if noise:
                out.add_(torch.randn_like(out), alpha=0.5)
            if bound:
                out.clamp_(-2, 2).div_(2)

        seconds = bench.device_seconds(ours, sets)
        rate = (K + 1) * each / seconds
        beside = f"torch {duration(bench.device_seconds(theirs, sets))}" if K else ""
        return Row(name(K, noise, bound), kind(dtype), seconds, rate, beside, rate / bench.best_copy)

    def name(K: int, noise: bool, bound: bool) -> str:
        return f"{K} rows" + " and noise" * noise + " with a threshold" * bound

    cases = [(K, torch.float32, False, False) for K in (1, 2, 3, 4, 8, 12)]
    cases += [(K, torch.float32, True, False) for K in (0, 1, 2, 4)] + [(2, torch.float32, False, True)]
    cases += [(K, t, noise, False) for t in TYPES[1:] for K, noise in ((2, False), (4, False), (2, True))]
    for case in cases:
        yield name(case[0], *case[2:]), kind(case[1]), lambda case=case: combined(*case)


def fields_(bench: Bench, sizes: Sizes) -> Iterator[Task]:
    """Fields of known laws, beside the same in torch on the same device; ratio: torch's time to ours."""
    n, d, rng = sizes.samples, sizes.d, np.random.default_rng(0)

    def law_of(K: int, d: int, rank: int) -> Mixture:
        given: dict[str, Any] = {"path": "edm", "weights": np.full(K, 1 / K), "means": rng.normal(size=(K, d))}
        if not rank:
            return Mixture(**given, variances=rng.uniform(0.1, 1, (K, d)))
        return Mixture(**given, factors=rng.normal(size=(K, d, rank)), diagonal=rng.uniform(0.1, 1, (K, d)))

    def beside(what: str, on: str, ours: Callable[[], Any], theirs: Callable[[], Any]) -> Row:
        a, b = ours().double(), theirs().double()
        difference = float((a - b).abs().max() / b.abs().max())
        mine, others = (bench.device_seconds(lambda i, f=f: f()) for f in (ours, theirs))
        return Row(what, on, mine, None, f"torch {duration(others)}", others / mine, difference)

    def mixture(K: int, d: int, rank: int, n: int, dtype: torch.dtype) -> Row:
        known, x = law_of(K, d, rank), bench.normal(n, d, dtype=dtype) * 2
        fused = FusedMixture(known, bench.gpu)
        return beside("FusedMixture", sized(K, d, rank, n, dtype), lambda: fused(x, 1.5), lambda: known(x, 1.5))

    def sized(K: int, d: int, rank: int, n: int, dtype: torch.dtype) -> str:
        return f"{kind(dtype)}, n {n}, d {d}, K {K}, rank {rank}"

    f32, f64 = TYPES[:2]
    for case in (
        (10, 2, 0, 16 * n, f32), (64, d, 2, n, f32), (64, d, 2, n, f64), (512, d // 12, 1, n, f32),
    ):  # fmt: skip
        yield "FusedMixture", sized(*case), lambda case=case: mixture(*case)


def moments(bench: Bench, sizes: Sizes) -> Iterator[Task]:
    """Streamed moments and the Frechet distance, beside numpy on the CPU; ratio: numpy's time to ours."""

    def distance() -> list[Row]:
        n, d = sizes.features
        rng = np.random.default_rng(1)
        x, A = rng.normal(size=(n, d)), rng.normal(size=(d, d)) / np.sqrt(d)
        C, mean = A @ A.T, rng.normal(size=d) * 0.1
        started = time.perf_counter()
        expected_C = np.cov(x.T)
        between = time.perf_counter()
        expected = frechet_squared(x, mean, float(np.trace(C)), lambda a: a @ C)
        cpu = between - started, time.perf_counter() - between
        on_device = [torch.from_numpy(a).to(bench.where) for a in (x, mean, C)]

        def streamed() -> Moments:
            found = Moments()
            for part in on_device[0].split(1000):
                found.update(part)
            return found

        found = streamed()
        seconds = bench.wall_seconds(streamed), bench.wall_seconds(lambda: found.frechet_squared(*on_device[1:]))
        apart = float(np.abs(found.covariance.cpu().numpy() - expected_C).max() / np.abs(expected_C).max())
        off = abs(found.frechet_squared(*on_device[1:]) / expected - 1)
        names = ("mean and covariance", "Frechet distance")
        return [
            Row(what, f"float64, n {n}, d {d}", s, None, f"numpy {duration(c)}", c / s, e)
            for what, s, c, e in zip(names, seconds, cpu, (apart, off), strict=True)
        ]

    yield "mean, covariance and Frechet distance", "", distance


def laws(bench: Bench, sizes: Sizes) -> Iterator[Task]:
    """Exact laws of every solver at every budget, beside the numpy engine plan by plan; ratio: numpy's time to ours."""

    def every() -> list[Row]:
        rng, d = np.random.default_rng(2), sizes.d
        gaussian = Gaussian(rng.normal(size=d), rng.uniform(0, 1, d), "edm")
        grids = [sb.grid("edm", "edm", n) for n in sizes.budgets]
        names = [*sb.solvers()][: sizes.solvers]
        plans = [sb.plan(name, "edm", grid, prediction="x0") for name in names for grid in grids]
        program = law.Program(plans)
        found = program(gaussian, bench.gpu, bench.where)
        once = bench.wall_seconds(lambda: law.Program(plans))
        seconds = bench.wall_seconds(lambda: program(gaussian, bench.gpu, bench.where))
        started = time.perf_counter()
        expected = [law_on_cpu.kernel(plan, gaussian) for plan in plans]
        cpu = time.perf_counter() - started
        error = max(
            float(np.abs(getattr(a, name) - getattr(b, name)).max() / max(1, np.abs(getattr(b, name)).max()))
            for a, b in zip(found, expected, strict=True) for name in "AbQ"
        )  # fmt: skip
        on = f"{len(plans)} plans, d {d}"
        return [
            Row("exact laws, of packed plans", on, seconds, None, f"numpy {duration(cpu)}", cpu / seconds, error),
            Row("packing the plans", on, once),
        ]

    yield "exact laws", "", every


def steps(bench: Bench, sizes: Sizes) -> Iterator[Task]:
    """A step of a whole run by the wall clock, the field one multiplication; ratio: diffusers' time to ours."""
    N, shape = sizes.steps, (3, 32, 32)

    def field(x: torch.Tensor, t: Any) -> torch.Tensor:
        return x * 0.1

    def run_of_diffusers(solver: str, x: torch.Tensor) -> float:
        import diffusers

        scheduler = getattr(diffusers, DIFFUSERS[solver])()

        def run() -> None:
            sample = x
            for t in scheduler.timesteps:
                sample = scheduler.step(field(sample, t), t, sample).prev_sample

        return bench.wall_seconds(run, lambda: scheduler.set_timesteps(N, device=bench.where)) / N

    def compared(solver: str, samples: int) -> list[Row]:
        plan = sb.plan(solver, "vp-linear", sb.grid("uniform", "vp-linear", N), prediction="noise")
        x = bench.normal(samples, *shape)
        try:
            other = run_of_diffusers(solver, x)
            beside, note = f"diffusers {duration(other)}", ""
        except Exception as error:  # not installed, or another version than these calls are for
            other, beside, note = float("nan"), "no diffusers", reason(error)
        on = f"{solver}, float32, {samples} x {'x'.join(map(str, shape))}"
        cupy = (plan, samples, shape, torch.float32, bench.where, bench.gpu)
        engines: dict[str, Callable[[], Callable[[], Any]]] = {
            "torch": lambda: partial(TorchRunner(*cupy[:-1]), field, x),
            "cupy": lambda: partial(Runner(*cupy), field, x),
            "cupy, captured": lambda: Runner(*cupy).capture(field, x),
        }
        rows = []
        for name, make in engines.items():
            try:
                seconds = bench.wall_seconds(make()) / N
                rows.append(Row(f"a step: {name}", on, seconds, None, beside, other / seconds))
            except Exception as error:
                rows.append(Row(f"a step: {name}", on, beside=reason(error)))
        return rows + ([Row("a step: diffusers", on, beside=note)] if note else [])

    for solver in DIFFUSERS:
        for samples in sizes.batches:
            yield "a step", f"{solver}, {samples} samples", lambda s=solver, n=samples: compared(s, n)


SECTIONS = (copies, combinations, steps, fields_, laws, moments)


def page(bench: Bench, sizes: Sizes = FULL, out: Path | None = None, limit: float = 85.0) -> str:
    """All sections as markdown; tasks that would begin after `limit` seconds are left out, and say so."""
    started, text = time.perf_counter(), f"# Measured on {machine(bench)}\n"
    for section in SECTIONS:
        rows = []
        for what, on, task in section(bench, sizes):
            if time.perf_counter() - started > limit:
                rows.append(Row(what, on, beside="left out: no time left"))
                continue
            try:
                found = task()
            except Exception as error:
                found = Row(what, on, beside=reason(error))
            rows += found if isinstance(found, list) else [found]
            print(f"{time.perf_counter() - started:5.1f} s", *rows[-1].cells(), sep="  ", file=sys.stderr, flush=True)
        table = tabulate([row.cells() for row in rows], COLUMNS, tablefmt="github", disable_numparse=True)
        text += f"\n{(section.__doc__ or '').strip()}\n\n{table}\n"
        if out:
            out.write_text(text, "utf-8")
    return text


def main() -> None:
    """Print the page, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the page there too")
    parser.add_argument("--limit", type=float, default=85.0, help="seconds after which nothing new is begun")
    arguments = parser.parse_args()
    if why := why_not():
        sys.exit(f"no measurements here: {why}")
    print(page(Bench(device(0)), out=arguments.out, limit=arguments.limit))


if __name__ == "__main__":
    main()
