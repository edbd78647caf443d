"""What is measured of a sampler with its noise: strong and weak orders, and orders in small noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from solverbench.errors import SolverbenchError, in_words
from solverbench.methods.registry import Solver
from solverbench.orders.laws import laws
from solverbench.orders.measure import Verdict, expected, seen
from solverbench.orders.ruler import Slope
from solverbench.orders.small_noise import small_noise
from solverbench.orders.strong import nonlinear
from solverbench.orders.subjects import Subject

Kind: TypeAlias = Literal["strong", "weak", "small-noise"]
CONVERGES = 0.25
"""An order of the noise that is taken for convergence: half of the least that there is."""


@dataclass(frozen=True)
class NoiseReport:
    """What was measured of one sampler, of one kind."""

    name: str
    kind: Kind
    claimed: float | None
    verdict: Verdict
    slopes: dict[str, Slope]
    """By what they are of; none for a sampler that is no such method: it draws no noise, or not that of a process."""
    error: str = ""
    """Why the verdict is "failed"."""

    @property
    def attained(self) -> Slope:
        """The least of them."""
        return min(seen(self.slopes.values()), key=lambda s: s.order, default=Slope(math.nan))

    def record(self) -> list[dict[str, Any]]:
        """As flat rows of plain values, one for each slope; one without a slope where there is none."""
        whole = {"solver": self.name, "kind": self.kind, "claimed": self.claimed, "verdict": self.verdict}
        return [
            whole
            | {
                "of": of,
                "order": s.order,
                "half": s.half,
                "window": "-".join(map(str, s.window)) if s.window else None,
                "constant": s.constant,
                "remark": self.error or s.remark,
            }
            for of, s in (self.slopes or {"": Slope(math.nan)}).items()
        ]


def measure_noise(subject: Subject, kind: Kind) -> NoiseReport:
    """Measure a sampler; one that raises gets the verdict "failed" with its words.

    strong: on one Brownian path, exactly on the Gaussian, where the distance is Gaussian so that its mean and its root
    mean square have one order, and by sampling on the mixture. weak: of the exact law on the Gaussian. small-noise:
    see `small_noise`; nothing is claimed of it beyond the order without noise.
    """
    claimed = {"strong": subject.strong, "weak": subject.weak, "small-noise": None}[kind]
    try:
        with np.errstate(all="ignore"):  # what overflows is seen in the errors
            slopes = _slopes(subject, kind) if subject.stochastic else {}
        return NoiseReport(subject.name, kind, claimed, _verdict(slopes, claimed), slopes)
    except SolverbenchError as error:
        words = str(error)
    except Exception as error:  # a sampler of somebody else's
        words = in_words(error)
    return NoiseReport(subject.name, kind, claimed, "failed", {}, words)


def expected_of(solver: Solver, kind: Kind) -> Verdict:
    """The verdict that follows from what a solver is registered with."""
    claim = {"strong": solver.strong, "weak": solver.weak, "small-noise": None}[kind]
    if kind == "weak" and solver.stochastic and expected(solver) == "inconsistent":
        return "inconsistent"
    return "no claim" if claim is None else "as claimed"


def _slopes(subject: Subject, kind: Kind) -> dict[str, Slope]:
    match kind:
        case "small-noise":
            return small_noise(subject)
        case "weak":
            return laws(subject)[0]
    exact = laws(subject)[1]
    return {**({"gaussian": exact} if exact else {}), **{f"nonlinear, {k}": s for k, s in nonlinear(subject).items()}}


def _verdict(slopes: dict[str, Slope], claimed: float | None) -> Verdict:
    known = seen(slopes.values())
    if any(s.remark == "not finite" for s in slopes.values()) or not all(s.reaches(CONVERGES, 0) for s in known):
        return "inconsistent"
    if claimed is None:
        return "no claim"
    if not known:
        return "undetermined"
    return "as claimed" if all(s.reaches(claimed) for s in known) else "below claim: coefficients"
