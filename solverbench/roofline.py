"""The least time a GPU could take for a plan's own arithmetic: bytes over bandwidth and operations over rate.

A projection from data sheets and never a measurement. It counts what the engine's kernels must do (one reading of every
operand, one writing of every result, noise drawn where it is added) and nothing of the field, whose cost is its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from solverbench.errors import UsageError, nearest

if TYPE_CHECKING:
    from solverbench.plans import Plan


@dataclass(frozen=True)
class Gpu:
    """A data sheet: bandwidth in bytes/s, peak rates in operations/s where a fused multiply-add is two."""

    name: str
    bandwidth: float
    float32: float
    float64: float
    source: str


GPUS = {
    "a100": Gpu(
        "A100 80GB SXM", 2.039e12, 19.5e12, 9.7e12, "NVIDIA A100 Tensor Core GPU data sheet, nvidia-a100-datasheet-us"
    ),
    "h100": Gpu("H100 SXM", 3.35e12, 67e12, 34e12, "NVIDIA H100 Tensor Core GPU data sheet, column H100 SXM"),
    "h200": Gpu("H200 SXM", 4.8e12, 67e12, 34e12, "NVIDIA H200 Tensor Core GPU data sheet, column H200 SXM"),
    "rtx4090": Gpu("GeForce RTX 4090", 1.008e12, 82.6e12, 1.29e12, "NVIDIA Ada GPU Architecture white paper, 2022"),
}
"""Rates are those of the ordinary cores, without tensor cores: what sums of states run on. docs/gpu.md says with which
copies of these sheets they were compared; the 4090's float64 rate is not in one and is a 64th of its float32 rate."""
ITEMSIZE = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
BLOCK_OF_WORDS = 120
"""Integer operations, at least, of Philox-4x64-10 for eight numbers: ten rounds of two 64-bit products, each no fewer
than four 32-bit multiply-adds, and of two exclusive-ors of two halves."""


@dataclass(frozen=True)
class Work:
    """What one instruction costs for each element of the state."""

    bytes: float
    flops: float
    integer: float


def work(plan: Plan, dtype: str = "float32") -> list[Work]:
    """Of every instruction of a plan, in its order; evaluations, jumps and maps are the field's or the user's: zero."""
    from solverbench.engines.cupy.sources import MAX_TERMS
    from solverbench.plans import LinComb, Noise

    if dtype not in ITEMSIZE:
        raise UsageError(f"no roofline for dtype {dtype!r} (known: {', '.join(ITEMSIZE)})")
    drawn = plan.transient
    found = []
    for v, i in enumerate(plan.code):
        if isinstance(i, LinComb):
            draws = sum(u in drawn for u, _ in i.terms)
            rows = len(i.terms) - draws
            passes = max(1, draws, -(-(rows - 1) // (MAX_TERMS - 1)))
            # every pass but the first reads the sum so far again
            traffic = ITEMSIZE[dtype] * (rows + (passes - 1) + passes)
            found.append(Work(traffic, 2 * len(i.terms), BLOCK_OF_WORDS / 8 * draws))
        elif isinstance(i, Noise) and v not in drawn:
            found.append(Work(ITEMSIZE[dtype], 2, BLOCK_OF_WORDS / 8))
        else:
            found.append(Work(0, 0, 0))
    return found


@dataclass(frozen=True)
class Floor:
    """Projected least times of a whole plan, in seconds."""

    memory: float
    arithmetic: float
    bytes: float
    flops: float

    @property
    def seconds(self) -> float:
        """The larger of the two: they overlap at best."""
        return max(self.memory, self.arithmetic)


def gpu(name: str) -> Gpu:
    """A data sheet by name; UsageError for unknown ones."""
    if name not in GPUS:
        raise UsageError(f"no data sheet of {name!r}{nearest(name, GPUS)}")
    return GPUS[name]


def floor(plan: Plan, on: Gpu, elements: int, dtype: str = "float32") -> Floor:
    """Least time on a GPU for states of so many elements, all samples together.

    Sums are formed in float64 for float32 and float64 states; integer operations run no faster than float32's
    multiply-adds do. Logarithms and cosines of the noise, and conversions of types, are left out: a floor.
    """
    parts = work(plan, dtype)
    total = Work(*(sum(getattr(w, f) for w in parts) for f in ("bytes", "flops", "integer")))
    rate = on.float64 if dtype in ("float32", "float64") else on.float32
    arithmetic = total.flops / rate + total.integer / (on.float32 / 2)
    return Floor(
        elements * total.bytes / on.bandwidth, elements * arithmetic, elements * total.bytes, elements * total.flops
    )
