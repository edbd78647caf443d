"""The engine that samples: one pass over memory per instruction, no allocation inside the loop.

A linear combination of K states, written the usual way, makes K - 1 temporaries and as many trips to memory. Here it is
formed block by block: for each block that fits the cache, scale the first operand into place and add the others. The
intermediate sums stay in the cache, so memory sees every operand once. Where the schedule says that the result may
overwrite an operand, even the result's own line fill is saved.
"""

from __future__ import annotations

import time
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
        self._rows = torch.empty((plan.schedule.buffer, size), dtype=dtype, device=device)
        self._wide = dtype in (torch.bfloat16, torch.float16)
        self._sum = torch.empty(min(size, _block()), dtype=torch.float32, device=device) if self._wide else None
        self.meter = Meter()

    def __call__(self, field: Any, x: torch.Tensor, *, seed: int = 0, first: int = 0) -> torch.Tensor:
        """Run the plan on x (m, *shape), m <= n, and return the final state, which stays valid until the next call.

        Noise belongs to the samples first .. first + m - 1 under `seed`.
        """
        started = time.perf_counter()
        plan, size = self.plan, x.numel()
        flat: list[torch.Tensor | None] = [None] * len(plan.code)
        for i, (instruction, row, dead) in enumerate(
            zip(plan.code, plan.schedule.rows, plan.schedule.dead, strict=True)
        ):
            match instruction:
                case LinComb(terms):
                    out = self._rows[row, :size]
                    self._combine(out, [(flat[u], float(c)) for u, c in terms])  # type: ignore[misc]
                    flat[i] = out
                case Eval(u, t):
                    flat[i] = self._call(field, flat[u], x, t)
                case Jump(u, s, t):
                    flat[i] = self._call(field.jump, flat[u], x, s, t)
                case Noise(draw):
                    out = self._rows[row, :size]
                    fill_normal(out.view(x.shape[0], -1), seed, draw + 1, first)
                    flat[i] = out
                case Map(u, _, function):
                    out = self._rows[row, :size]
                    out.copy_(function(flat[u].view(x.shape)).reshape(-1))  # type: ignore[union-attr]
                    flat[i] = out
                case Input():
                    flat[i] = x.reshape(-1)
            for u in dead:
                flat[u] = None
        self.meter.total += time.perf_counter() - started
        return flat[plan.output].view(x.shape)  # type: ignore[union-attr]

    def _call(self, function: Any, flat: torch.Tensor | None, like: torch.Tensor, *times: Any) -> torch.Tensor:
        started = time.perf_counter()
        assert flat is not None
        x = flat.view(like.shape)
        output = function(x, *times)
        self.meter.field += time.perf_counter() - started
        if tuple(output.shape) != tuple(x.shape):
            raise ValueError(f"the field returned shape {tuple(output.shape)} for a state of shape {tuple(x.shape)}")
        if output.data_ptr() == x.data_ptr():  # a view of the state would change under our feet
            output = output.clone()
        flattened: torch.Tensor = output.reshape(-1).to(like.dtype)
        return flattened

    def _combine(self, out: torch.Tensor, terms: list[tuple[torch.Tensor, float]]) -> None:
        """out = sum_k c_k row_k, one pass. `out` may be one of the rows, which is then read first."""
        terms.sort(key=lambda term: term[0].data_ptr() != out.data_ptr())
        block = _block()
        blocks = [torch.split(row, block) for row in (out, *(row for row, _ in terms))]
        coefficients = [c for _, c in terms]
        for to, head, *tail in zip(*blocks, strict=True):
            total = to if self._sum is None else self._sum[: to.numel()]
            if not self._wide:
                torch.mul(head, coefficients[0], out=total)
            else:
                total.copy_(head).mul_(coefficients[0])
            for row, c in zip(tail, coefficients[1:], strict=True):
                total.add_(row, alpha=c)
            if self._wide:
                to.copy_(total)


def _block() -> int:
    return BLOCK * torch.get_num_threads()


def fill_normal(out: torch.Tensor, seed: int, stream: int, first: int) -> None:
    """Write standard normal numbers into out (n, d); row i belongs to sample first + i."""
    wide = np.float64 if out.dtype == torch.float64 else np.float32
    n, d = out.shape
    out.copy_(torch.from_numpy(np.ascontiguousarray(normals(seed, stream, first, n, d, wide))))
