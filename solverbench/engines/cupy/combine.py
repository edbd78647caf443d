"""Linear combinations of states by the kernels: which one, with what argument, on how many blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch

from solverbench.engines.cupy.sources import MAX_TERMS, Kernel, combination
from solverbench.engines.noise import MAX_SEED

THREADS = 256
BLOCKS_EACH = 8
"""Blocks per multiprocessor: 2048 threads, all that fit; loops over the grid do the rest."""
VECTOR = 16
"""Bytes of one load."""


class Device(Protocol):
    """Where kernels run: a GPU, or in tests the host."""

    multiprocessors: int

    def launch(self, kernel: Kernel, blocks: int, threads: int, argument: np.ndarray[Any, Any]) -> None:
        """Run a kernel whose one parameter, a structure, is given by value."""


@dataclass(frozen=True)
class Draw:
    """Normal numbers that are not in memory: those of a stream, for the samples from `first` on."""

    seed: int
    stream: int
    first: int


def combine(
    device: Device,
    out: torch.Tensor,
    rows: Sequence[torch.Tensor],
    coefficients: Sequence[float],
    draws: Sequence[tuple[Draw, float]] = (),
    *,
    clip: tuple[float, float] = (-math.inf, math.inf),
    bound: torch.Tensor | None = None,
) -> None:
    """out = sum_k c_k row_k + sum_j c_j z_j, all contiguous, of one type and of shape (n, ...); `out` may be a row.

    One pass over memory for up to `MAX_TERMS` rows and one draw. clip: limits of the result. bound: float64 (n,), in
    place of `clip`: that of sample i is limited to [-s_i, s_i] and divided by s_i (dynamic thresholding, Saharia et al.
    2022, section 2.3). Rows that overlap `out` in part are not supported.
    """
    terms = sorted(zip(rows, coefficients, strict=True), key=lambda term: term[0].data_ptr() != out.data_ptr())
    draws = list(draws)
    while True:
        now, terms = terms[:MAX_TERMS], terms[MAX_TERMS:]
        draw, draws = draws[:1], draws[1:]
        last = not terms and not draws
        _one_pass(device, out, now, draw, clip if last else (-math.inf, math.inf), bound if last else None)
        if last:
            return
        terms = [(out, 1.0), *terms]


def _one_pass(
    device: Device,
    out: torch.Tensor,
    terms: Sequence[tuple[torch.Tensor, float]],
    draw: Sequence[tuple[Draw, float]],
    clip: tuple[float, float],
    bound: torch.Tensor | None,
) -> None:
    if not out.numel():
        return
    if not terms and not draw:
        out.zero_()
        return
    samples, d, pointers = len(out), out[0].numel(), [row.data_ptr() for row, _ in terms]
    width = VECTOR // out.element_size()
    argument = np.zeros((), layout(len(terms)))
    argument["out"] = out.data_ptr()
    for k, (row, c) in enumerate(terms):
        argument["row"][k], argument["c"][k] = row.data_ptr(), c
    argument["samples"], argument["d"] = samples, d
    argument["low"], argument["high"] = clip
    aligned = not any(p % VECTOR for p in (out.data_ptr(), *pointers))
    argument["vector"] = aligned and (bound is None or d % width == 0)
    argument["bound"] = 0 if bound is None else bound.data_ptr()
    items = samples * d
    if aligned:
        items = -(-items // width)
    for z, c in draw:
        argument["c_noise"], argument["first"] = c, z.first
        argument["seed"], argument["stream"] = z.seed % MAX_SEED, z.stream
        items = samples * -(-d // 8)
    kernel = combination(str(out.dtype).removeprefix("torch."), len(terms), bool(draw))
    device.launch(kernel, blocks(items, device), THREADS, argument)


def blocks(items: int, device: Device) -> int:
    """How many blocks share so many items: one item a thread until the device is full."""
    return max(1, min(-(-items // THREADS), device.multiprocessors * BLOCKS_EACH))


@cache
def layout(terms: int) -> np.dtype[Any]:
    """The structure `Terms` of kernels/terms.cuh."""
    K = max(terms, 1)
    fields: list[Any] = [("out", "u8"), ("row", "u8", (K,)), ("c", "f8", (K,)), ("samples", "i8"), ("d", "i8")]
    fields += [("vector", "i8"), ("low", "f8"), ("high", "f8"), ("bound", "u8"), ("c_noise", "f8"), ("first", "i8")]
    return np.dtype([*fields, ("seed", "u8"), ("stream", "u8")])
