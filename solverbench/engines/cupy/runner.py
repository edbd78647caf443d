"""The engine: torch's loop over a plan, with one kernel launch per linear combination and noise that is never stored.

A draw that only linear combinations read is drawn where it is added, each time: the words cost less than the trip to
memory would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from solverbench.engines.cupy.combine import Device, Draw, combine
from solverbench.engines.torch import Runner as TorchRunner
from solverbench.plans import LinComb, Noise, Plan
from solverbench.plans.ir import operands


class Runner(TorchRunner):
    """As `engines.torch.Runner`; `kernels` launches, by default on the GPU of `device`."""

    def __init__(
        self,
        plan: Plan,
        n: int,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device | str = "cuda",
        kernels: Device | None = None,
    ) -> None:
        from solverbench.engines.cupy.device import device as gpu

        self._kernels = kernels or gpu(_number(torch.device(device)))
        stored = {u for i in plan.code if not isinstance(i, LinComb) for u in operands(i)} | {plan.output}
        self._transient = {i.draw for v, i in enumerate(plan.code) if isinstance(i, Noise) and v not in stored}
        super().__init__(plan, n, shape, dtype, device)

    def _draw(self, out: torch.Tensor, draw: int, seed: int, first: int) -> Any:
        z = Draw(seed, draw + 1, first)
        if draw in self._transient:
            return z
        combine(self._kernels, out, [], [], [(z, 1.0)])
        return out

    def _combine(self, out: torch.Tensor, parts: Sequence[Any], coefficients: Sequence[float]) -> None:
        terms = list(zip(parts, coefficients, strict=True))
        rows = [(p, c) for p, c in terms if not isinstance(p, Draw)]
        draws = [(p, c) for p, c in terms if isinstance(p, Draw)]
        combine(self._kernels, out, [p for p, _ in rows], [c for _, c in rows], draws)


def _number(device: torch.device) -> int:
    """Of a GPU; the current one where none is named."""
    index: int | None = device.index
    return torch.cuda.current_device() if index is None else index
