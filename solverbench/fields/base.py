"""What a field is, and what all fields share about the arrays they are given.

A field is the model a sampler calls: it maps a batch of states x_t of shape (n, *shape) and one time t of its path to
a prediction of the same shape. It takes numpy arrays and torch tensors alike and answers in kind.
"""

from __future__ import annotations

from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from solverbench.errors import UsageError, check_known, check_whole
from solverbench.eta import Eta, EtaLike
from solverbench.predictions import PREDICTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from solverbench.numbers import Number
    from solverbench.paths import Path
    from solverbench.predictions import Prediction

Array: TypeAlias = Any
"""A numpy array or a torch tensor."""
Vector: TypeAlias = NDArray[np.float64]


@runtime_checkable
class Field(Protocol):
    """A model: (x, t) -> prediction."""

    path: Path
    prediction: Prediction
    shape: tuple[int, ...]
    """Of one sample."""

    def __call__(self, x: Array, t: Number) -> Array:
        """Return the prediction for states x (n, *shape) at time t, a new array of the kind, shape and dtype of x.

        A field with an attribute `takes_times` that is true takes times (n,), one per sample, too. Adaptive solvers ask
        others once for every time that occurs, sample by sample in the end.
        """


@runtime_checkable
class LinearField(Field, Protocol):
    """A field that is affine in x along fixed directions, so that laws pass through it exactly.

    With z = U^T x the coordinates along those directions, everything acts on each z_i alone; arrays are float64 (d,).
    """

    def affine(self, t: float) -> tuple[Vector, Vector]:
        """(slope, offset): the prediction is slope z + offset."""

    def jump_affine(self, s: float, t: float) -> tuple[Vector, Vector]:
        """(slope, offset) of the exact flow map from s to t."""

    def moments(self, t: float) -> tuple[Vector, Vector]:
        """(mean, variance) of the exact marginal law at t."""

    def transition(self, s: float, t: float, eta: EtaLike = 0.0) -> tuple[Vector, Vector, Vector]:
        """(slope, offset, variance) of z_t given z_s in the exact reverse process of strength eta."""


def lacks(field: Any, jumps: Iterable[Eta | None]) -> str | None:
    """What a field lacks for a plan with these `Plan.jumps`, to be said after its name; None if nothing.

    A flow map is `jump(x, s, t)`. The exact process is `transit(x, s, t, eta, z)`, with a method `lacks(eta)` that says
    the same of one strength.
    """
    for eta in jumps:
        if eta is None:
            if not hasattr(field, "jump"):
                return "has no flow map to jump with"
        elif not hasattr(field, "transit"):
            return "does not know its exact process: take rk4 or sde-dpmpp-2m on a fine grid"
        elif reason := field.lacks(eta):
            return str(reason)
    return None


def path_at(path: Path, t: Number) -> tuple[Number, Number]:
    """(alpha, sigma) at time t, one or an array. Raises UsageError for nan and below zero, where a path is not."""
    if not np.all(t >= 0):
        raise UsageError(f"a path begins at the data, t = 0: there is no time t = {np.min(t)}, give one from 0 up")
    return path.alpha(t), path.sigma(t)


def driven(path: Path, s: Number, t: Number, eta: Eta, z: Array | None) -> bool:
    """Whether the process of strength eta draws noise between s and t.

    Raises UsageError if it does and z is None, and as `check_reverse` does.
    """
    check_reverse(path, s, t, eta)
    draws = any(eta.within(path, s, t))
    if draws and z is None:
        raise UsageError(f"the process of strength eta = {eta} draws noise: give z, standard normal numbers like x")
    return draws


def check_reverse(path: Path, s: Number, t: Number, eta: Eta) -> None:
    """Raise UsageError as `path_at` does, and if t is noisier than s and eta > 0: only the flow goes both ways."""
    (alpha_s, sigma_s), (alpha_t, sigma_t) = path_at(path, s), path_at(path, t)
    if eta and alpha_t * sigma_s < alpha_s * sigma_t:
        raise UsageError(f"a reverse process with eta > 0 goes from noise to data, not from t={s} to t={t}")


def check_field(field: Any) -> None:
    """Raise UsageError unless `field` has what makes a field."""
    if not isinstance(field, Field):
        load = f": solverbench.fields.load({field!r}) opens one by its name" if isinstance(field, str) else ""
        raise UsageError(f"a field is an object with path, prediction, shape and __call__(x, t), not {field!r}{load}")


def check_shape(shape: Any) -> tuple[int, ...]:
    """`shape`, of one state, as a tuple. Raises UsageError unless it is one or more whole numbers, none below one."""
    sizes = tuple(shape) if isinstance(shape, tuple | list) else ()
    if not sizes or not all(isinstance(k, Integral) and int(k) > 0 for k in sizes):
        raise UsageError(f"shape must be positive whole numbers for one or more axes, got {shape!r}")
    return sizes


def check_states(x: Array, shape: tuple[int, ...]) -> None:
    """Raise UsageError unless x is an array of floating-point (or object) states (n, *shape)."""
    if not hasattr(x, "dtype"):
        raise UsageError(f"a field takes a numpy array or a torch tensor, got {type(x).__name__}")
    if tuple(x.shape[1:]) != shape or x.ndim == 0:
        expected = ", ".join(["n", *map(str, shape)])
        raise UsageError(f"this field takes states of shape ({expected}), got {tuple(x.shape)}")
    if not (x.dtype.kind in "fO" if isinstance(x, np.ndarray) else x.is_floating_point()):
        raise UsageError(f"a field takes floating-point states, got {x.dtype}")


def check_prediction(name: Prediction) -> Prediction:
    """`name`, or UsageError if it is no prediction."""
    check_known("prediction", name, PREDICTIONS)
    return name


def checked(name: str, value: ArrayLike, *shapes: tuple[int, ...]) -> Vector:
    """`value` as a float64 array of one of `shapes`, all finite; UsageError naming it otherwise."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must be numbers in rows of equal length ({error})") from None
    if array.shape not in shapes:
        raise UsageError(f"{name} must have shape {' or '.join(map(str, dict.fromkeys(shapes)))}, got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise UsageError(f"{name} must be finite, but {np.sum(~np.isfinite(array))} of its entries are not")
    return array


def one_time(t: Number) -> float:
    """t in double precision. Raises UsageError for several."""
    if np.ndim(t):
        raise UsageError(f"one time is of all states here, got times {np.shape(t)}: ask for one after the other")
    return float(t)


def time_for(x: Array, t: Number) -> Number:
    """t in the number type in which coefficients for states x are computed: at least double precision.

    One time per sample (n,) becomes a column (n, 1), beside the coordinates of each. Raises UsageError for any other
    number of times.
    """
    if np.ndim(t):
        if np.shape(t) != (len(x),):
            raise UsageError(f"a field takes one time, or one for each of {len(x)} states, got {np.shape(t)}")
        return np.asarray(t)[:, None]
    if isinstance(x, np.ndarray):
        if x.dtype == object:
            return t
        if x.dtype == np.longdouble:
            return np.longdouble(t)
    return float(t)


def like(value: NDArray[Any], x: Array) -> Array:
    """The numpy array `value` in the kind, dtype and device of x."""
    if isinstance(x, np.ndarray):
        return value.astype(x.dtype, copy=False)
    import torch

    return torch.as_tensor(np.asarray(value, dtype=np.float64), dtype=x.dtype, device=x.device)


def double(x: Array) -> Array:
    """x in float64, of its own kind."""
    return x.astype(np.float64, copy=False) if isinstance(x, np.ndarray) else x.double()


def each(function: Callable[[Number], Number], a: NDArray[Any]) -> NDArray[Any]:
    """A function of `numbers` on an array of any number type, objects included."""
    values: NDArray[Any] = np.frompyfunc(function, 1, 1)(a) if a.dtype == object else function(a)
    return values


class Constant:
    """A float64 array that `like` hands out converted once for every dtype and device."""

    def __init__(self, value: Vector) -> None:
        self.value = value
        self._made: dict[Any, Array] = {}

    def like(self, x: Array) -> Array:
        """The constant in the kind, dtype and device of x; not to be written to."""
        key = (x.dtype, getattr(x, "device", None))
        if key not in self._made:
            self._made[key] = like(self.value, x)
        return self._made[key]


BLOCK = 64
"""Samples are drawn in whole blocks, so that rounding in a matrix product cannot depend on how many are asked for."""


def normal_blocks(n: int, seed: int, width: int) -> Iterator[tuple[slice, Vector]]:
    """Yield (rows, xi): standard normals xi (BLOCK, width) for rows of 0..n from one counter-based stream.

    Row i of the stream is the same for every n; the last block is whole and its surplus rows are to be dropped.
    Raises UsageError, before the first, for an n or seed that is no whole number >= 0.
    """
    check_whole("n", n, 0)
    check_whole("seed", seed, 0)
    stream = np.random.Generator(np.random.Philox(seed))
    starts = range(0, n, BLOCK)
    return ((slice(i, min(i + BLOCK, n)), stream.standard_normal((BLOCK, width))) for i in starts)
