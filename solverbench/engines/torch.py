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

from solverbench.engines.noise import normals
from solverbench.plans import Eval, Input, Jump, LinComb, Map, Noise, Plan

BLOCK = 1 << 17
"""Elements of one operand per block and thread: 512 KiB of float32, so that four operands fit 2 MiB of cache."""


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
        self.plan, self.shape = plan, tuple(shape)
        size = n * int(np.prod(self.shape))
        self._buffer = torch.empty((plan.schedule.buffer, size), dtype=dtype, device=device)
        narrow = dtype in (torch.bfloat16, torch.float16)
        self._sum = torch.empty(min(size, BLOCK), dtype=torch.float32, device=device) if narrow else None
        self._program = list(zip(map(self._prepare, range(len(plan.code))), plan.schedule.dead, strict=True))
        self.meter = Meter()

    def _prepare(self, v: int) -> Any:
        """Instruction v; of a linear combination its row, operands and coefficients, the operand in that row first."""
        instruction, rows = self.plan.code[v], self.plan.schedule.rows
        if not isinstance(instruction, LinComb):
            return instruction
        terms = sorted(instruction.terms, key=lambda term: rows[term[0]] != rows[v])
        return rows[v], [u for u, _ in terms], [float(c) for _, c in terms]

    def __call__(self, field: Any, x: torch.Tensor, *, seed: int = 0, first: int = 0) -> torch.Tensor:
        """Run the plan on x (m, *shape), m <= n, and return the final state, which stays valid until the next call.

        Noise belongs to the samples first .. first + m - 1 under `seed`.
        """
        started = time.perf_counter()
        rows: dict[int | None, torch.Tensor] = dict(enumerate(self._buffer[:, : x.numel()].unbind()))
        flat: list[Any] = [None] * len(self._program)  # the live values, each of shape (m * d,)
        for v, (instruction, dead) in enumerate(self._program):
            match instruction:
                case row, operands, coefficients:
                    flat[v] = self._combine(rows[row], [flat[u] for u in operands], coefficients)
                case Eval(u, t):
                    flat[v] = self._call(field, flat[u], x, t)
                case Jump(u, s, t):
                    flat[v] = self._call(field.jump, flat[u], x, s, t)
                case Noise(draw):
                    flat[v] = rows[self.plan.schedule.rows[v]]
                    fill_normal(flat[v].view(x.shape[0], -1), seed, draw + 1, first)
                case Map(u, _, function):
                    flat[v] = rows[self.plan.schedule.rows[v]]
                    flat[v].copy_(function(flat[u].view(x.shape)).reshape(-1))
                case Input():
                    flat[v] = x.reshape(-1)
            for u in dead:
                flat[u] = None
        self.meter.total += time.perf_counter() - started
        result: torch.Tensor = flat[self.plan.output].view(x.shape)
        return result

    def _call(self, function: Any, flat: torch.Tensor, like: torch.Tensor, *times: Any) -> torch.Tensor:
        x = flat.view(like.shape)
        started = time.perf_counter()
        output = function(x, *times)
        self.meter.field += time.perf_counter() - started
        if not isinstance(output, torch.Tensor):
            output = torch.as_tensor(output, device=x.device)
        if output.shape != x.shape:
            raise ValueError(f"the field returned shape {tuple(output.shape)} for a state of shape {tuple(x.shape)}")
        if output.data_ptr() == x.data_ptr():  # a view of the state would change under our feet
            output = output.clone()
        flattened: torch.Tensor = output.reshape(-1).to(like.dtype)
        return flattened

    def _combine(self, out: torch.Tensor, rows: list[torch.Tensor], coefficients: list[float]) -> torch.Tensor:
        """out = sum_k c_k row_k in one pass over memory; `out` may be the first of the rows."""
        size = out.numel()
        block = len(self._sum) if self._sum is not None else _block(size)
        if self._sum is None and block >= size:
            _accumulate(out, rows, coefficients)
            return out
        for to, *parts in zip(*(row.split(block) for row in (out, *rows)), strict=True):
            total = to if self._sum is None else self._sum[: to.numel()]
            _accumulate(total, parts, coefficients)
            if total is not to:
                to.copy_(total)
        return out


def _accumulate(total: torch.Tensor, rows: Sequence[torch.Tensor], coefficients: Sequence[float]) -> None:
    """total = sum_k c_k row_k, each operation in place on a block that stays in the cache."""
    if not rows:
        total.zero_()
        return
    if total.data_ptr() == rows[0].data_ptr():
        total.mul_(coefficients[0])
    elif total.dtype == rows[0].dtype:
        torch.mul(rows[0], coefficients[0], out=total)
    else:
        total.copy_(rows[0]).mul_(coefficients[0])
    for k in range(1, len(rows)):
        total.add_(rows[k], alpha=coefficients[k])


def _block(size: int) -> int:
    """Elements per block; what is not much more than one block is not worth cutting."""
    block = BLOCK * torch.get_num_threads()
    return block if size > 2 * block else size


def fill_normal(out: torch.Tensor, seed: int, stream: int, first: int) -> None:
    """Write standard normal numbers into out (n, d); row i belongs to sample first + i."""
    wide = np.float64 if out.dtype == torch.float64 else np.float32
    n, d = out.shape
    out.copy_(torch.from_numpy(np.ascontiguousarray(normals(seed, stream, first, n, d, wide))))
