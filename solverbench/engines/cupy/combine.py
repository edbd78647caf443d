"""Linear combinations of states by the kernels: which one, with what argument, on how many blocks."""

from __future__ import annotations

import math
import struct
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
    terms = list(zip(rows, coefficients, strict=True))
    if len(terms) <= MAX_TERMS and len(draws) <= 1:
        _one_pass(device, out, terms, draws, clip, bound)
        return
    terms.sort(key=lambda term: term[0].data_ptr() != out.data_ptr())  # before the first pass overwrites it
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
    n, K = out.numel(), len(terms)
    if not n:
        return
    if not terms and not draw:
        out.zero_()
        return
    samples, width = len(out), VECTOR // out.element_size()
    d = n // samples
    address, pointers = out.data_ptr(), [row.data_ptr() for row, _ in terms]
    aligned = not any(p % VECTOR for p in (address, *pointers))
    z, c_noise = draw[0] if draw else (Draw(0, 0, 0), 0.0)
    items = samples * -(-d // 8) if draw else -(-n // width) if aligned else n
    values = [address, *(pointers or [0]), *([c for _, c in terms] or [0]), samples, d]
    values += [aligned and (bound is None or d % width == 0), *clip, 0 if bound is None else bound.data_ptr()]
    values += [c_noise, z.first, z.seed % MAX_SEED, z.stream]
    kernel = combination(_name(out.dtype), K, bool(draw))
    device.launch(kernel, blocks(items, device), THREADS, packed(K, values))


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


def packed(terms: int, values: Sequence[float]) -> np.ndarray[Any, Any]:
    """The structure with these values; entry by entry numpy would take longer than the kernel does on a small state."""
    return np.frombuffer(_packer(terms).pack(*values), layout(terms))


@cache
def _packer(terms: int) -> struct.Struct:
    code = {"u": "Q", "i": "q", "f": "d"}
    fields = [field[0] for field in (layout(terms).fields or {}).values()]
    return struct.Struct("=" + "".join(f"{math.prod(f.shape)}{code[f.base.kind]}" for f in fields))


@cache
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
