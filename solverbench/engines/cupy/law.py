"""Exact transition kernels of many plans at once: `engines.law`, with one launch for all solvers and budgets.

What depends on the plan alone, the order of the sweep and where derivatives live, becomes a list of steps on the host;
slopes and offsets of the field are computed once for every time that occurs in any of the plans, by the field itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from solverbench.engines.cupy.combine import THREADS, Device, blocks
from solverbench.engines.cupy.sources import law
from solverbench.engines.law import Kernel, Vector, check
from solverbench.fields.base import LinearField
from solverbench.numbers import Number
from solverbench.plans import Eval, Instruction, Jump, LinComb, Noise, Plan

COMBINATION, AFFINE, DRAW, SETS = 0, 1, 2, 4
"""Kinds of steps in kernels/law.cu, and what is added where a step is the first to reach its slot."""
POINTERS = ("step", "c", "first", "input", "slope", "offset", "slots", "A", "b", "Q")
LAYOUT = np.dtype([(name, "u8") for name in POINTERS] + [(name, "i8") for name in ("plans", "d")])
"""The structure `Laws` of kernels/law.cu."""


def kernels(
    plans: Sequence[Plan], field: LinearField, device: Device, where: torch.device | str = "cuda"
) -> list[Kernel]:
    """The exact transition kernel of each plan, as `engines.law.kernel` has it, in one launch on `device`.

    where: the device as torch calls it. Memory: 16 d bytes for every distinct time, 24 d for every plan. Raises
    UsageError as `engines.law.kernel` does.
    """
    if not plans:
        return []
    program = _Program(field)
    for plan in plans:
        check(plan, field)
        program.append(plan)
    d = field.moments(plans[0].grid.times[0])[0].size
    launched = blocks(len(plans) * d, device)
    results = {name: torch.empty(len(plans), d, dtype=torch.float64, device=where) for name in "AbQ"}
    slots = torch.empty(program.slots * launched * THREADS, dtype=torch.float64, device=where)
    tables = {name: torch.from_numpy(value).to(where) for name, value in program.arrays(d).items()}
    arrays = tables | results | {"slots": slots}
    argument = np.zeros((), LAYOUT)
    for name, array in arrays.items():
        argument[name] = array.data_ptr()
    argument["plans"], argument["d"] = len(plans), d
    device.launch(law(), launched, THREADS, argument)
    A, b, Q = (results[name].cpu().numpy() for name in "AbQ")
    return [Kernel(*parts) for parts in zip(A, b, Q, strict=True)]


class _Program:
    """The steps of all plans, and the affine maps that they take."""

    def __init__(self, field: LinearField) -> None:
        self.slots = 1
        self._field = field
        self._steps: list[tuple[int, int, int, int]] = []
        self._c: list[float] = []
        self._first, self._input = [0], list[int]()
        self._maps: dict[tuple[float, ...], tuple[int, Vector, Vector]] = {}

    def append(self, plan: Plan) -> None:
        """The sweep over one plan. A slot is free again once the derivative in it has been passed on."""
        slot, free, used = {plan.output: 0}, list[int](), 1
        for v in range(len(plan.code) - 1, 0, -1):
            if v not in slot:
                continue
            own = slot.pop(v)
            for kind, u, at, c in self._passes(plan.code[v]):
                if u is None:
                    self._step(kind, own, own, at, c)
                    continue
                sets = u not in slot
                if sets:
                    if not free:
                        free.append(used)
                        used += 1
                    slot[u] = free.pop()
                self._step(kind | SETS * sets, own, slot[u], at, c)
            free.append(own)
        self._first.append(len(self._steps))
        self._input.append(slot.get(0, -1))
        self.slots = max(self.slots, used)

    def arrays(self, d: int) -> dict[str, np.ndarray[Any, Any]]:
        """What the kernel reads, by the names of its structure."""
        maps = self._maps.values()
        return {
            "step": np.array(self._steps, np.int32).reshape(-1, 4),
            "c": np.array(self._c),
            "first": np.array(self._first, np.int64),
            "input": np.array(self._input, np.int64),
            "slope": np.array([slope for _, slope, _ in maps]).reshape(-1, d),
            "offset": np.array([offset for _, _, offset in maps]).reshape(-1, d),
        }

    def _passes(self, instruction: Instruction) -> Iterator[tuple[int, int | None, int, float]]:
        """(kind, operand, affine map, coefficient) of all that an instruction does with its derivative."""
        match instruction:
            case LinComb(terms):
                yield from ((COMBINATION, u, 0, float(c)) for u, c in terms)
            case Eval(u, t):
                yield AFFINE, u, self._map(self._field.affine, t), 1.0
            case Jump(u, s, t):
                yield AFFINE, u, self._map(self._field.jump_affine, s, t), 1.0
            case Noise():
                yield DRAW, None, 0, 1.0

    def _step(self, kind: int, source: int, to: int, at: int, c: float) -> None:
        self._steps.append((kind, source, to, at))
        self._c.append(c)

    def _map(self, find: Callable[..., tuple[Vector, Vector]], *times: Number) -> int:
        """The number of the affine map of an evaluation or a jump."""
        key = tuple(map(float, times))
        if key not in self._maps:
            self._maps[key] = (len(self._maps), *find(*key))
        return self._maps[key][0]
