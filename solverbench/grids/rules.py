"""What a rule is, how it gets a name, and the two ways from a coordinate to times: in t, and in sigma~."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from solverbench import references
from solverbench.errors import UsageError, nearest
from solverbench.paths import Path

SIGMA_TILDE_RANGE = (1e-3, 1e3)
"""Where rules in sigma~ begin and end on a path whose own ends are pure data or pure noise."""

Array: TypeAlias = np.ndarray[Any, Any]
Place: TypeAlias = Callable[..., Any]
"""place(path, n, t_max, t_min, **options) -> n decreasing times from t_max to t_min."""
End: TypeAlias = Literal["jump", "reach", "replace"]
"""How a grid comes to the data: by a jump after t_min; by itself, if t_min is the data, else by a jump; or its last
time is replaced by the data, so that t_min is where the grid would have ended."""
_Place = TypeVar("_Place", bound=Place)


@dataclass(frozen=True)
class Rule:
    """A named way to place times. Made by the decorator `rule`, or by `special`."""

    name: str
    place: Place
    end: End
    cite: str
    """Keys of references.bib with places: "song2021sde; karras2022edm, table 1"."""
    doc: str
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options with defaults. A float must be positive, unless its default is zero: then any number will do."""
    of: str | None = None
    """The rule this one is a special case of."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """The options of that rule that make it so."""
    ends: Callable[[Path], tuple[float, float]] | None = None
    """The rule's own t_max and t_min, where they are not the path's."""
    indexed: bool = False
    """Whether times are training indices of a discrete path; t_max and t_min then have no say."""

    @property
    def reference(self) -> str:
        """Where the rule comes from."""
        return references.text(self.cite)

    @property
    def same(self) -> bool:
        """Whether this is only another name for the rule `of`: then both give the same grids."""
        return self.of is not None and not self.fixed and self.end == GRIDS[self.of].end

    def __call__(self, path: Path, n: int, t_max: float, t_min: float, options: Mapping[str, Any]) -> Array:
        """n decreasing times. Raises UsageError for an option that the rule lacks or cannot take, overflow included."""
        for key, value in options.items():
            if key not in self.options:
                raise UsageError(f"grid {self.name!r} has no option {key!r}{nearest(key, self.options)}")
            self.check(key, value)
        if n == 1 and not self.indexed:
            return np.array([t_max])
        try:
            return np.asarray(self.place(path, n, t_max, t_min, **{**self.options, **options}), dtype=float)
        except OverflowError:
            raise UsageError(f"grid {self.name!r}: times overflow with {dict(options)}") from None

    def check(self, key: str, value: Any) -> None:
        """Raise UsageError for a value that one of its options cannot take."""
        default = self.options[key]
        number = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
        if isinstance(default, float) and default == 0 and not number:
            raise UsageError(f"grid {self.name!r}: {key} must be a number, got {value!r}")
        if isinstance(default, float) and default != 0 and not (number and value > 0):
            raise UsageError(f"grid {self.name!r}: {key} must be a positive number, got {value!r}")
        if isinstance(default, int) and (isinstance(value, bool) or not isinstance(value, Integral)):
            raise UsageError(f"grid {self.name!r}: {key} must be a whole number, got {value!r}")


GRIDS: dict[str, Rule] = {}
"""Rules by name."""


def rule(
    name: str,
    *,
    cite: str,
    end: End,
    ends: Callable[[Path], tuple[float, float]] | None = None,
    indexed: bool = False,
    **options: Any,
) -> Callable[[_Place], _Place]:
    """Register a function as the rule `name`; keywords beyond those of `Rule` are its options with defaults."""

    def register(place: _Place) -> _Place:
        doc = inspect.cleandoc(place.__doc__ or "")
        GRIDS[name] = Rule(name, place, end, cite, doc, options, ends=ends, indexed=indexed)
        return place

    return register


def special(name: str, of: str, why: str, *, cite: str | None = None, end: End | None = None, **fixed: Any) -> None:
    """Register `name` as the rule `of` with options fixed, or ending otherwise; with neither it is the same rule."""
    general = GRIDS[of]
    GRIDS[name] = replace(
        general,
        name=name,
        place=partial(general.place, **fixed),
        end=end or general.end,
        cite=cite or general.cite,
        doc=why,
        options={key: value for key, value in general.options.items() if key not in fixed},
        of=of,
        fixed=fixed,
    )


def spread(first: float, last: float, n: int, profile: Array | None = None) -> Array:
    """n values from first to last: equally spaced, or at the positions `profile` gives, 1 being first and 0 last."""
    return np.linspace(first, last, n) if profile is None else last + profile * (first - last)


def with_ends(times: Array, t_max: float, t_min: float) -> Array:
    """The times with both ends to the last bit: a grid that starts a rounding beyond t_max is another problem."""
    times[0], times[-1] = t_max, t_min
    return times


def finite_ends(path: Path, t_max: float, t_min: float) -> tuple[float, float]:
    """sigma~ at both ends, replaced by those of SIGMA_TILDE_RANGE where a path is pure noise or pure data."""
    low, high = SIGMA_TILDE_RANGE
    first = high if path.is_noise(t_max) else float(path.sigma_tilde(t_max))
    last = low if path.is_data(t_min) else float(path.sigma_tilde(t_min))
    return first, last


def at_levels(path: Path, sigma_tilde: Array, t_max: float, t_min: float) -> Array:
    """The times of noise levels; ends that can be kept are."""
    times: Array = path.inverse_sigma_tilde(sigma_tilde)
    first = times[0] if path.is_noise(t_max) else t_max
    return with_ends(times, first, times[-1] if path.is_data(t_min) else t_min)


def in_levels(
    path: Path,
    n: int,
    t_max: float,
    t_min: float,
    to: Callable[[float], float],
    back: Callable[[Array], Array],
    profile: Array | None = None,
) -> Array:
    """n times spread in the coordinate `to` of sigma~, whose inverse is `back`."""
    first, last = finite_ends(path, t_max, t_min)
    return at_levels(path, back(spread(to(first), to(last), n, profile)), t_max, t_min)
