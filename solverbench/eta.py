"""The strength eta of the reverse process, constant or in pieces of noise levels: one type for solvers and exact laws.

In canonical coordinates, u = sigma~^2, the reverse process of strength eta is

    dx~ = (1 + eta^2)/2 (x~ - D)/u du + eta dB_u,

with the marginals of the path for any eta >= 0, also one that depends on the noise level. Here eta is a step function
of sigma~, so that it means the same on every path, written as it stands in a solver's brackets:

    0.5               everywhere
    0.5@0.05:50       where 0.05 <= sigma~ <= 50, and 0 elsewhere
    0.5@:1;1@1:       0.5 up to sigma~ = 1, 1 above

SA-Solver's tau (Xue et al. 2023), a constant on an interval and else 0, is one of these; the times from b to a are the
levels from path.sigma_tilde(b) to path.sigma_tilde(a). What a solver takes as its strength in a step is `over`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from solverbench.errors import UsageError
from solverbench.numbers import Number, sqrt

if TYPE_CHECKING:
    from solverbench.paths import Path

SLIVER = 1e-12
"""Relative width in sigma~ below which a piece is the rounding of a time."""


@dataclass(frozen=True)
class Piece:
    """eta = value where low <= sigma~ <= high."""

    value: float
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.value < math.inf:
            raise UsageError(f"need eta >= 0 and finite, got {self.value}")
        if not 0 <= self.low < self.high:
            raise UsageError(f"eta: noise levels go from low to high, 0 <= low < high, got {self.low}:{self.high}")

    def __str__(self) -> str:
        if (self.low, self.high) == (0.0, math.inf):
            return str(self.value)
        low = _short(self.low) if self.low else ""
        return f"{_short(self.value)}@{low}:{_short(self.high) if self.high < math.inf else ''}"


@dataclass(frozen=True, eq=False)
class Eta:
    """A step function of sigma~, its pieces in order of noise levels and 0 between them. `Eta.of` reads and converts.

    Equal to a number if it is that constant; false if it is 0 everywhere. Raises UsageError for pieces that overlap,
    and without any.
    """

    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        if not self.pieces:
            raise UsageError("eta needs a piece: 0 everywhere is Eta.of(0)")
        for a, b in zip(self.pieces, self.pieces[1:], strict=False):
            if a.high > b.low:
                raise UsageError(f"eta: the pieces {a} and {b} overlap or are not in order of noise levels")

    @classmethod
    def of(cls, value: EtaLike) -> Eta:
        """A strength, from a number or from text as in the module's docstring. Raises UsageError for any other."""
        if isinstance(value, Eta):
            return value
        if isinstance(value, str):
            pieces = sorted((_read(part) for part in value.split(";")), key=lambda piece: piece.low)
            return cls(tuple(pieces))
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise UsageError(f"eta is a number or text such as '0.5@0.05:50', got {value!r}")
        return cls((Piece(float(value)),))

    @property
    def constant(self) -> float | None:
        """Its value if that is the same at all noise levels."""
        first = self.pieces[0]
        if not self:
            return 0.0
        return first.value if (first.low, first.high) == (0.0, math.inf) else None

    @property
    def largest(self) -> float:
        """Its largest value."""
        return max(piece.value for piece in self.pieces)

    @property
    def root(self) -> Eta:
        """The strength whose square this is."""
        return Eta(tuple(replace(piece, value=math.sqrt(piece.value)) for piece in self.pieces))

    def __bool__(self) -> bool:
        return self.largest > 0

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int | float):
            return self.constant == other
        return isinstance(other, Eta) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> object:
        return self.pieces if self.constant is None else self.constant

    def __str__(self) -> str:
        return ";".join(map(str, self.pieces))

    def within(self, path: Path, s: Number, t: Number) -> Iterator[tuple[float, Number, Number]]:
        """(eta, a, b) of every stretch of times s >= a > b >= t on which eta > 0 is constant, from noise to data."""
        top, bottom = _level(path, s), _level(path, t)
        for piece in reversed(self.pieces):
            high, low = min(top, piece.high), max(bottom, piece.low)
            if piece.value and high > low and not math.isclose(high, low, rel_tol=SLIVER):
                a = s if high == top else path.inverse_sigma_tilde(s * 0 + high)
                b = t if low == bottom else path.inverse_sigma_tilde(t * 0 + low)
                yield piece.value, a, b

    def over(self, path: Path, s: Number, t: Number) -> Number:
        """The strength of a step from s to t: eta where it is constant, else its root mean square in lambda.

        A process with this strength in every step has the same marginals, so what a step loses over a jump of eta is
        in the transition law alone, O(h^2) once. On the data prediction even the linear part of the step, which knows
        eta by the integral of eta^2 dlambda only, stays exact. Of an infinite step it is eta at the infinite end.
        """
        if (constant := self.constant) is not None:
            return constant
        pieces = list(self.within(path, s, t))
        if [p[1:] for p in pieces] == [(s, t)]:
            return pieces[0][0]
        if path.is_data(t) or path.is_noise(s):
            end = 0.0 if path.is_data(t) else math.inf
            return next((p.value for p in self.pieces if p.low <= end <= p.high), 0.0)
        total = sum(v * v * (path.lam(b) - path.lam(a)) for v, a, b in pieces)
        return sqrt(total / (path.lam(t) - path.lam(s)))


ZERO, ONE = Eta.of(0.0), Eta.of(1.0)
EtaLike: TypeAlias = Eta | float | str
"""What `Eta.of` takes."""


def _read(text: str) -> Piece:
    match = re.fullmatch(r"\s*([^@:;]+?)\s*(?:@\s*([^@:;]*?)\s*:\s*([^@:;]*?)\s*)?", text)
    if match is None:
        raise UsageError(f"cannot read eta {text!r}: write 0.5, or 0.5@0.05:50 for noise levels from 0.05 to 50")
    try:
        value, low, high = (float(part) if part else None for part in match.groups())
    except ValueError:
        raise UsageError(f"cannot read eta {text!r}: its value and noise levels are numbers") from None
    assert value is not None
    return Piece(value, low or 0.0, math.inf if high is None else high)


def _level(path: Path, t: Number) -> Number:
    return math.inf if path.is_noise(t) else path.sigma_tilde(t)


def _short(value: float) -> str:
    return repr(value).removesuffix(".0")
