"""The engine that samples: one pass over memory per instruction, no allocation inside the loop.

A linear combination of K states, written the usual way, makes K - 1 temporaries and as many trips to memory. Here it is
formed block by block: for each block that fits the cache, scale the first operand into place and add the others. The
intermediate sums stay in the cache, so memory sees every operand once. Where the schedule says that the result may
overwrite an operand, even the result's own line fill is saved.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from solverbench.engines.noise import Source, independent, normals, stream_of
from solverbench.plans import Eval, Input, Jump, LinComb, Map, Noise, Plan

BLOCK = 1 << 17
"""Elements of one operand per block and thread: 512 KiB of float32, so that four operands fit 2 MiB of cache."""

LINE = 64
"""Elements that the length of a row is a multiple of, so that every row starts where cache lines and vectors do."""


@dataclass
class Meter:
    """Where the time of a run went, in seconds."""

    total: float = 0.0
    field: float = 0.0

    @property
    def overhead(self) -> float:
        """Time outside the field: the solver's own."""
        return self.total - self.field


class Runner:
    """Executes one plan on batches of up to `n` samples, in buffers allocated once.

    shape: of one sample. dtype: of the states; sums are formed in float32 for bfloat16 and float16 states.
    """

    def __init__(
        self, plan: Plan, n: int, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> None:
        self.plan, self.shape, self.device = plan, tuple(shape), torch.device(device)
        size = n * int(np.prod(self.shape))
        self._buffer = torch.empty((plan.schedule.buffer, -(-size // LINE) * LINE), dtype=dtype, device=device)
        narrow = dtype in (torch.bfloat16, torch.float16)
        block = min(size, BLOCK) if self.device.type == "cpu" else size
        self._sum = torch.empty(block, dtype=torch.float32, device=device) if narrow else None
        self._program = [self._prepare(v) for v in range(len(plan.code))]
        self.meter = Meter()

    def _prepare(self, v: int) -> tuple[Any, Any, tuple[int, ...]]:
        """(what to do, the row it writes, the values that die in it) of instruction v.

        A linear combination is its operands, the one that lives in the row to be written first, and its coefficients.
        """
        instruction, schedule = self.plan.code[v], self.plan.schedule
        rows, dead = schedule.rows, schedule.dead[v]
        if not isinstance(instruction, LinComb):
            return instruction, rows[v], dead
        terms = sorted(instruction.terms, key=lambda term: rows[term[0]] != rows[v])
        return ([u for u, _ in terms], [float(c) for _, c in terms]), rows[v], dead

    def __call__(
        self, field: Any, x: torch.Tensor, *, seed: int = 0, first: int = 0, source: Source = independent
    ) -> torch.Tensor:
        """Run the plan on x (m, *shape), m <= n, and return the final state, which stays valid until the next call.

        Noise belongs to the samples first .. first + m - 1 under `seed`, and comes from `source`.
        """
        started = time.perf_counter()
        rows = self._buffer[:, : x.numel()].view(-1, *x.shape).unbind()
        value: list[Any] = [None] * len(self._program)  # the live ones, each of the shape of x
        for v, (instruction, row, dead) in enumerate(self._program):
            match instruction:
                case operands, how:
                    value[v] = rows[row]
                    self._combine(rows[row], [value[u] for u in operands], how)
                case Eval(u, t):
                    value[v] = self._call(field, value[u], t)
                case Jump(u, s, t, None):
                    value[v] = self._call(field.jump, value[u], s, t)
                case Jump(u, s, t, eta, z):
                    value[v] = self._call(field.transit, value[u], s, t, eta, None if z is None else value[z])
                case Noise():
                    value[v] = self._draw(rows[row], instruction, seed, first, source)
                case Map(u, _, function):
                    value[v] = rows[row]
                    value[v].copy_(function(value[u]))
                case Input():
                    value[v] = x.contiguous()
            for u in dead:
                value[u] = None
        self.meter.total += time.perf_counter() - started
        result: torch.Tensor = value[self.plan.output]
        return result

    def _call(self, function: Any, x: torch.Tensor, *more: Any) -> torch.Tensor:
        started = time.perf_counter()
        output = function(x, *more)
        self.meter.field += time.perf_counter() - started
        if not isinstance(output, torch.Tensor):
            output = torch.as_tensor(output, device=x.device)
        if output.shape != x.shape:
            raise ValueError(f"the field returned shape {tuple(output.shape)} for a state of shape {tuple(x.shape)}")
        if output.data_ptr() == x.data_ptr():  # a view of the state would change under our feet
            output = output.clone()
        if output.dtype != x.dtype:
            output = output.to(x.dtype)
        contiguous: torch.Tensor = output.contiguous()
        return contiguous

    def _draw(self, out: torch.Tensor, draw: Noise, seed: int, first: int, source: Source) -> Any:
        """What stands for a noise draw among the values: here `out`, filled."""
        if source is independent:
            fill_normal(out, seed, stream_of(draw), first)
            return out
        n, d = len(out), out.shape[1:].numel()
        out.copy_(torch.from_numpy(source(draw, seed, first, n, d, drawn(out.dtype))).view(out.shape))
        return out

    def _combine(self, out: torch.Tensor, parts: Sequence[Any], how: Any) -> None:
        """out = sum_k c_k part_k in one pass over memory, `how` as prepared; `out` may be the first of the parts."""
        block = len(self._sum) if self._sum is not None else _block(out)
        if self._sum is None and block >= out.numel():
            _accumulate(out, parts, how)
            return
        for to, *pieces in zip(*(part.view(-1).split(block) for part in (out, *parts)), strict=True):
            total = to if self._sum is None else self._sum[: to.numel()]
            _accumulate(total, pieces, how)
            if total is not to:
                to.copy_(total)


def _accumulate(total: torch.Tensor, rows: Sequence[torch.Tensor], coefficients: Sequence[float]) -> None:
    """total = sum_k c_k row_k, each operation in place on a block that stays in the cache."""
    if not rows:
        total.zero_()
        return
    if total is rows[0] or total.data_ptr() == rows[0].data_ptr():
        total.mul_(coefficients[0])
    elif total.dtype == rows[0].dtype:
        torch.mul(rows[0], coefficients[0], out=total)
    else:
        total.copy_(rows[0]).mul_(coefficients[0])
    for k in range(1, len(rows)):
        total.add_(rows[k], alpha=coefficients[k])


def _block(out: torch.Tensor) -> int:
    """Elements per block; what is not much more than one block is not worth cutting, nor is anything on a GPU, where a
    launch takes longer than its cache would save.
    """
    size, block = out.numel(), BLOCK * torch.get_num_threads()
    return block if size > 2 * block and out.device.type == "cpu" else size


def fill_normal(out: torch.Tensor, seed: int, stream: int, first: int) -> None:
    """Write standard normal numbers into out (n, ...), contiguous; row i belongs to sample first + i.

    On a GPU by the kernel for them, if cupy can use it: the same words, drawn a thousand times faster than here.
    """
    if out.is_cuda:
        from solverbench.engines.cupy import device
        from solverbench.engines.cupy.combine import Draw, combine

        if gpu := device.found(out.device.index):
            combine(gpu, out, [], [], [(Draw(seed, stream, first), 1.0)])
            return
    n, d = len(out), out.shape[1:].numel()
    out.copy_(torch.from_numpy(normals(seed, stream, first, n, d, drawn(out.dtype))).view(out.shape))


def drawn(dtype: torch.dtype) -> Any:
    """The type in which noise for states of that type is drawn."""
    return np.float64 if dtype == torch.float64 else np.float32
