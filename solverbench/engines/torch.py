"""The engine that samples: one pass over memory per instruction, no allocation inside the loop.

A linear combination of K states, written the usual way, makes K - 1 temporaries and as many trips to memory. Here it is
formed block by block: for each block that fits the cache, scale the first operand into place and add the others. The
intermediate sums stay in the cache, so memory sees every operand once. Where the schedule says that the result may
overwrite an operand, even the result's own line fill is saved.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
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
        self.meter = Meter()

    def __call__(self, field: Any, x: torch.Tensor, *, seed: int = 0, first: int = 0) -> torch.Tensor:
        """Run the plan on x (m, *shape), m <= n, and return the final state, which stays valid until the next call.

        Noise belongs to the samples first .. first + m - 1 under `seed`.
        """
        started = time.perf_counter()
        plan = self.plan
        rows: dict[int | None, torch.Tensor] = dict(enumerate(self._buffer[:, : x.numel()].unbind()))
        flat: list[torch.Tensor | None] = [None] * len(plan.code)
        for i, (instruction, row, dead) in enumerate(
            zip(plan.code, plan.schedule.rows, plan.schedule.dead, strict=True)
        ):
            match instruction:
                case LinComb(terms):
                    out = rows[row]
                    self._combine(out, [(flat[u], float(c)) for u, c in terms])  # type: ignore[misc]
                    flat[i] = out
                case Eval(u, t):
                    flat[i] = self._call(field, flat[u], x, t)
                case Jump(u, s, t):
                    flat[i] = self._call(field.jump, flat[u], x, s, t)
                case Noise(draw):
                    out = rows[row]
                    fill_normal(out.view(x.shape[0], -1), seed, draw + 1, first)
                    flat[i] = out
                case Map(u, _, function):
                    out = rows[row]
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
        if output.shape != x.shape:
            raise ValueError(f"the field returned shape {tuple(output.shape)} for a state of shape {tuple(x.shape)}")
        if output.data_ptr() == x.data_ptr():  # a view of the state would change under our feet
            output = output.clone()
        flattened: torch.Tensor = output.reshape(-1).to(like.dtype)
        return flattened

    def _combine(self, out: torch.Tensor, terms: list[tuple[torch.Tensor, float]]) -> None:
        """out = sum_k c_k row_k, one pass. `out` may be one of the rows, which is then read first."""
        if not terms:
            out.zero_()
            return
        terms.sort(key=lambda term: term[0] is not out)
        (head, first), *tail = terms
        block = _block(out.numel()) if self._sum is None else len(self._sum)
        if self._sum is None and block >= out.numel():
            _accumulate(out, head, first, tail)
            return
        blocks = zip(*(row.split(block) for row in (out, head, *(row for row, _ in tail))), strict=True)
        coefficients = [c for _, c in tail]
        for to, start, *rest in blocks:
            total = to if self._sum is None else self._sum[: to.numel()]
            _accumulate(total, start, first, zip(rest, coefficients, strict=True))
            if total is not to:
                to.copy_(total)


def _accumulate(
    total: torch.Tensor, head: torch.Tensor, first: float, tail: Iterable[tuple[torch.Tensor, float]]
) -> None:
    """total = first * head + sum of c * row, each operation in place on a block that stays in the cache."""
    if total is head:
        total.mul_(first)
    elif total.dtype == head.dtype:
        torch.mul(head, first, out=total)
    else:
        total.copy_(head).mul_(first)
    for row, c in tail:
        total.add_(row, alpha=c)


def _block(size: int) -> int:
    """Elements per block; what is not much more than one block is not worth cutting."""
    block = BLOCK * torch.get_num_threads()
    return block if size > 2 * block else size


def fill_normal(out: torch.Tensor, seed: int, stream: int, first: int) -> None:
    """Write standard normal numbers into out (n, d); row i belongs to sample first + i."""
    wide = np.float64 if out.dtype == torch.float64 else np.float32
    n, d = out.shape
    out.copy_(torch.from_numpy(np.ascontiguousarray(normals(seed, stream, first, n, d, wide))))
