"""Linear combinations of states by the kernels: which one, with what argument, on how many blocks."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from solverbench.engines.cupy.sources import MAX_TERMS, Kernel, combination
from solverbench.engines.noise import MAX_SEED

THREADS = 256
BLOCKS_EACH = 8
"""Blocks per multiprocessor: 2048 threads, all that fit; loops over the grid do the rest."""
VECTOR = 16
"""Bytes of one load."""
NO_LIMIT = (-math.inf, math.inf)


class Device(Protocol):
    """Where kernels run: a GPU, or in tests the host."""

    multiprocessors: int

    def launch(self, kernel: Kernel, blocks: int, threads: int, argument: np.ndarray[Any, Any]) -> None:
        """Run a kernel whose one parameter, a structure, is given by value."""


class Draw(NamedTuple):
    """Normal numbers that are not in memory: those of a stream, for the samples from `first` on."""

    seed: int
    stream: int
    first: int


class Combination:
    """sum_k c_k operand_k for states of one type, the last `draws` operands draws, packed once for all its launches.

    One pass over memory for up to `MAX_TERMS` rows and one draw; what is longer is continued from its result.
    clip: limits of the result.
    """

    def __init__(
        self,
        dtype: torch.dtype,
        coefficients: Sequence[float],
        draws: int = 0,
        clip: tuple[float, float] = NO_LIMIT,
    ) -> None:
        self._rows = len(coefficients) - draws
        c, noise = coefficients[: self._rows], coefficients[self._rows :]
        now, later = c[:MAX_TERMS], [*c[MAX_TERMS:], *noise[1:]]
        self._then = Combination(dtype, [1.0, *later], max(0, draws - 1), clip) if later else None
        self._kernel = combination(_name(dtype), len(now), bool(draws)) if coefficients else None
        self._width = VECTOR // dtype.itemsize
        self._argument, (self._head, tail) = np.zeros(1, layout(len(now))), _parts(len(now))
        limits = NO_LIMIT if later else clip
        tail.pack_into(self._argument.data, self._head.size, *(now or [0]), *limits, noise[0] if draws else 0)

    def __call__(
        self, device: Device, out: torch.Tensor, operands: Sequence[Any], bound: torch.Tensor | None = None
    ) -> None:
        """Write the combination of these states and `Draw`s to `out`, which may be one of the first `MAX_TERMS`.

        States are contiguous, of the combination's type and of shape (n, ...). bound: float64 (n,), in place of `clip`:
        the result of sample i is limited to [-s_i, s_i] and divided by s_i (dynamic thresholding, Saharia et al. 2022,
        section 2.3). States that overlap `out` in part are not supported.
        """
        n = out.numel()
        if not n:
            return
        if self._kernel is None:
            out.zero_()
            return
        rows, draws = operands[: self._rows], operands[self._rows :]
        address, pointers = out.data_ptr(), [row.data_ptr() for row in rows[:MAX_TERMS]]
        limit = 0 if bound is None or self._then else bound.data_ptr()
        samples = out.shape[0]
        d = n // samples
        vector = not any(p % VECTOR for p in (address, *pointers)) and not (limit and d % self._width)
        z = draws[0] if draws else Draw(0, 0, 0)
        where = (z.first, z.seed % MAX_SEED, z.stream)
        self._head.pack_into(self._argument.data, 0, address, *(pointers or [0]), samples, d, vector, limit, *where)
        items = samples * -(-d // 8) if draws else -(-n // self._width) if vector else n
        device.launch(self._kernel, blocks(items, device), THREADS, self._argument)
        if self._then:
            self._then(device, out, [out, *rows[MAX_TERMS:], *draws[1:]], bound)


def combine(
    device: Device,
    out: torch.Tensor,
    rows: Sequence[torch.Tensor],
    coefficients: Sequence[float],
    draws: Sequence[tuple[Draw, float]] = (),
    *,
    clip: tuple[float, float] = NO_LIMIT,
    bound: torch.Tensor | None = None,
) -> None:
    """out = sum_k c_k row_k + sum_j c_j z_j by a `Combination` that serves once; `out` may be any of the rows."""
    terms = sorted(zip(rows, coefficients, strict=True), key=lambda term: term[0].data_ptr() != out.data_ptr())
    operands: list[tuple[Any, float]] = [*terms, *draws]
    Combination(out.dtype, [c for _, c in operands], len(draws), clip)(device, out, [v for v, _ in operands], bound)


def blocks(items: int, device: Device) -> int:
    """How many blocks share so many items: one item a thread until the device is full."""
    return max(1, min(-(-items // THREADS), device.multiprocessors * BLOCKS_EACH))


HEAD = ("out", "row", "samples", "d", "vector", "bound", "first", "seed", "stream")
"""The entries of `Terms` that differ from launch to launch; they stand first."""
TAIL = ("c", "low", "high", "c_noise")


@cache
def layout(terms: int) -> np.dtype[Any]:
    """The structure `Terms` of kernels/terms.cuh."""
    several = {"row": (max(terms, 1),), "c": (max(terms, 1),)}
    return np.dtype([(name, kind, several.get(name, ())) for kind, of in (("u8", HEAD), ("f8", TAIL)) for name in of])


@cache
def _parts(terms: int) -> tuple[struct.Struct, struct.Struct]:
    """Its two halves, which numpy would fill entry by entry, taking longer than a kernel does on a small state."""
    more = max(terms, 1) - 1
    return struct.Struct(f"={len(HEAD) + more}Q"), struct.Struct(f"={len(TAIL) + more}d")


@cache
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
