"""The engine: torch's loop over a plan, with one kernel launch per linear combination and noise that is never stored.

A draw that only linear combinations read is drawn where it is added, each time: the words cost less than the trip to
memory would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from solverbench.engines.cupy.combine import Combination, Device, Draw
from solverbench.engines.cupy.sources import TYPES
from solverbench.engines.noise import Source, independent, stream_of
from solverbench.engines.torch import Runner as TorchRunner
from solverbench.errors import UsageError
from solverbench.plans import LinComb, Noise, Plan


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

        if (name := str(dtype).removeprefix("torch.")) not in TYPES:
            raise UsageError(f"engine 'cupy' has no kernels for {name} states (known: {', '.join(TYPES)})")
        self._kernels = kernels or gpu(_number(torch.device(device)))
        self._transient = {i.draw for v in plan.transient if isinstance(i := plan.code[v], Noise)}
        self._dtype = dtype
        super().__init__(plan, n, shape, dtype, device)

    def _prepare(self, v: int) -> tuple[Any, Any, tuple[int, ...]]:
        what, row, dead = super()._prepare(v)
        if isinstance(self.plan.code[v], LinComb):
            terms = sorted(zip(*what, strict=True), key=lambda term: term[0] in self.plan.transient)
            operands, c = [u for u, _ in terms], [c for _, c in terms]
            draws = len(self.plan.transient.intersection(operands))
            stored = Combination(self._dtype, c)
            what = operands, (stored, Combination(self._dtype, c, draws) if draws else stored)
        return what, row, dead

    def capture(self, field: Any, x: torch.Tensor, *, seed: int = 0, first: int = 0) -> Callable[[], torch.Tensor]:
        """The whole run as a CUDA graph: a function that runs it again on what x then holds, and returns its output.

        The field must be static: no shapes, branches or copies from the host that depend on values. Noise is that of
        `seed` and `first` in every replay. The output is overwritten by the next one.
        """
        side = torch.cuda.Stream(x.device)
        side.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(side):  # once before: kernels are compiled and the field's caches filled
            self(field, x, seed=seed, first=first)
        torch.cuda.current_stream(x.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self(field, x, seed=seed, first=first)

        def replay() -> torch.Tensor:
            graph.replay()
            return output

        return replay

    def _draw(self, out: torch.Tensor, draw: Noise, seed: int, first: int, source: Source) -> Any:
        if source is independent and draw.draw in self._transient:
            return Draw(seed, stream_of(draw), first)
        return super()._draw(out, draw, seed, first, source)

    def _combine(self, out: torch.Tensor, parts: Sequence[Any], how: Any) -> None:
        stored, drawn = how
        (drawn if parts and isinstance(parts[-1], Draw) else stored)(self._kernels, out, parts)


def _number(device: torch.device) -> int:
    """Of a GPU; the current one where none is named."""
    index: int | None = device.index
    return torch.cuda.current_device() if index is None else index
