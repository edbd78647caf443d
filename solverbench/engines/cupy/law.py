"""Exact transition kernels of many plans at once: `engines.law`, with one launch for all solvers and budgets.

What depends on the plan alone, the order of the sweep and where derivatives live, becomes a list of steps on the host;
slopes and offsets of the field are computed once for every time that occurs in any of the plans, by the field itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from solverbench.engines.cupy.combine import THREADS, Device, blocks
from solverbench.engines.cupy.sources import law
from solverbench.engines.law import Kernel, check, jump
from solverbench.eta import Eta
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
    """The exact transition kernel of each plan, as `engines.law.kernel` has it, in one launch; see `Program`."""
    return Program(plans)(field, device, where)


class Program:
    """Plans as one list of steps, made once for any number of fields."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.plans = tuple(plans)
        self._steps: list[tuple[int, int, int, int]] = []
        self._c: list[float] = []
        self._first, self._input = [0], list[int]()
        self._maps: dict[tuple[Any, ...], int] = {}
        self._slots = 1
        for plan in plans:
            self._append(plan)

    def __call__(self, field: LinearField, device: Device, where: torch.device | str = "cuda") -> list[Kernel]:
        """The transition kernel of every plan on a field, in one launch on `device`, which torch calls `where`.

        Memory: 16 d bytes for every distinct time and 24 d for every plan. Raises UsageError as `engines.law.kernel`.
        """
        if not self.plans:
            return []
        for plan in self.plans:
            check(plan, field)
        d = field.moments(self.plans[0].grid.times[0])[0].size
        launched = blocks(len(self.plans) * d, device)
        results = {name: torch.empty(len(self.plans), d, dtype=torch.float64, device=where) for name in "AbQ"}
        slots = torch.empty(self._slots * launched * THREADS, dtype=torch.float64, device=where)
        tables = {name: torch.from_numpy(value).to(where) for name, value in self._tables(field, d).items()}
        argument = np.zeros((), LAYOUT)
        for name, array in (tables | results | {"slots": slots}).items():
            argument[name] = array.data_ptr()
        argument["plans"], argument["d"] = len(self.plans), d
        device.launch(law(), launched, THREADS, argument)
        A, b, Q = (results[name].cpu().numpy() for name in "AbQ")
        return [Kernel(*parts) for parts in zip(A, b, Q, strict=True)]

    def _tables(self, field: LinearField, d: int) -> dict[str, np.ndarray[Any, Any]]:
        """What the kernel reads, by the names of its structure."""
        slope, offset = np.empty((2, len(self._maps), d))
        for (what, *where), at in self._maps.items():
            if what == "prediction":
                slope[at], offset[at] = field.affine(*where)
            elif what == "jump":
                slope[at], offset[at], spread = jump(field, *where)
                if (of_draw := self._maps.get(("spread", *where))) is not None:
                    slope[of_draw], offset[of_draw] = spread, 0.0
        return {
            "step": np.array(self._steps, np.int32).reshape(-1, 4),
            "c": np.array(self._c),
            "first": np.array(self._first, np.int64),
            "input": np.array(self._input, np.int64),
            "slope": slope,
            "offset": offset,
        }

    def _append(self, plan: Plan) -> None:
        """The sweep over one plan. A slot is free again once the derivative in it has been passed on."""
        slot, free, used = {plan.output: 0}, list[int](), 1
        for v in range(len(plan.code) - 1, 0, -1):
            own = slot.pop(v, None)
            if own is None:
                continue
            reads = self._reads(plan.code[v])
            for kind, at, u, c in reads:
                sets = u not in slot
                if sets:
                    if not free:
                        free.append(used)
                        used += 1
                    slot[u] = free.pop()
                self._step(kind | SETS * sets, own, slot[u], at, float(c))
            if isinstance(plan.code[v], Noise):
                self._step(DRAW, own, own, 0, 1.0)
            free.append(own)
        self._first.append(len(self._steps))
        self._input.append(slot.get(0, -1))
        self._slots = max(self._slots, used)

    def _reads(self, instruction: Instruction) -> list[tuple[int, int, int, Number]]:
        """(kind of step, number of the affine map, operand, coefficient) of all that an instruction reads."""
        match instruction:
            case LinComb(terms):
                return [(COMBINATION, 0, u, c) for u, c in terms]
            case Eval(u, t):
                return [(AFFINE, self._map("prediction", t), u, 1.0)]
            case Jump(u, s, t, eta, z):
                state = (AFFINE, self._map("jump", s, t, eta), u, 1.0)
                return [state] if z is None else [state, (AFFINE, self._map("spread", s, t, eta), z, 1.0)]
        return []

    def _step(self, kind: int, source: int, to: int, at: int, c: float) -> None:
        self._steps.append((kind, source, to, at))
        self._c.append(c)

    def _map(self, what: str, *where: Number | Eta | None) -> int:
        """The number of an affine map: of a prediction at t, or of a jump from s to t, its state's or its draw's."""
        return self._maps.setdefault((what, *where), len(self._maps))
