"""Orthogonal changes of coordinates z = U^T x in which covariances are simple.

States x have shape (n, *shape), coordinates z are flat, (n, d). Either may be a numpy array of any dtype or a torch
tensor; both directions are matrix products.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from solverbench.errors import UsageError
from solverbench.fields.base import Array, Constant, Vector, check_shape, checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

ORTHONORMAL = 1e-5
"""Largest entry of U^T U - I that passes: matrices stored in single precision do, and are then made exact."""


class Basis(Protocol):
    """An orthogonal change of coordinates of states of one shape."""

    shape: tuple[int, ...]

    def forward(self, x: Array) -> Array:
        """States (n, *shape) -> coordinates (n, d)."""

    def inverse(self, z: Array) -> Array:
        """Coordinates (n, d) -> states (n, *shape)."""


class Identity:
    """The coordinates are the state itself, flattened."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def forward(self, x: Array) -> Array:
        return x.reshape(len(x), math.prod(self.shape))

    def inverse(self, z: Array) -> Array:
        return z.reshape(len(z), *self.shape)


def basis_for(basis: Basis | None, shape: tuple[int, ...] | None, default: tuple[int, ...]) -> Basis:
    """The basis of states of `shape`, or the Identity on them; `default` is their shape where neither is given.

    Raises UsageError if the two disagree, and as `check_shape` does.
    """
    if shape is None:
        shape = default if basis is None else basis.shape
    shape = check_shape(shape)
    if basis is None:
        return Identity(shape)
    if basis.shape != shape:
        raise UsageError(f"the basis is for states of shape {basis.shape}, not {shape}")
    return basis


class Dense:
    """z = U^T x for a square matrix U (d, d) whose columns are the basis vectors.

    `shape` is that of one state, (d,) by default. Raises UsageError if U is not square or its columns are not
    orthonormal.
    """

    def __init__(self, matrix: ArrayLike, shape: tuple[int, ...] | None = None) -> None:
        matrix = _orthogonal("the matrix of a Dense basis", matrix)
        self.shape = (len(matrix),) if shape is None else tuple(shape)
        if math.prod(self.shape) != len(matrix):
            raise UsageError(f"a Dense basis of {len(matrix)} vectors does not fit states of shape {self.shape}")
        self._matrix = Constant(matrix)

    def forward(self, x: Array) -> Array:
        return x.reshape(len(x), math.prod(self.shape)) @ self._matrix.like(x)

    def inverse(self, z: Array) -> Array:
        return (z @ self._matrix.like(z).T).reshape(len(z), *self.shape)


class Separable:
    """z_kl.. = sum_ij.. A_ki B_lj .. x_ij..: a small orthogonal matrix per axis, whose rows are the basis vectors.

    The Kronecker product of the matrices applied in O(d sum(shape)): a DCT per image axis and a rotation of colours,
    for instance. Raises UsageError for a matrix that is not square or whose rows are not orthonormal.
    """

    def __init__(self, factors: Sequence[ArrayLike]) -> None:
        matrices = [_orthogonal(f"factor {axis} of a Separable basis", factor) for axis, factor in enumerate(factors)]
        if not matrices:
            raise UsageError("a Separable basis needs a factor per axis, got none")
        self.shape = tuple(len(m) for m in matrices)
        self._forward = [Constant(m) for m in matrices]
        self._inverse = [Constant(np.ascontiguousarray(m.T)) for m in matrices]

    def forward(self, x: Array) -> Array:
        return self._apply(self._forward, x)

    def inverse(self, z: Array) -> Array:
        return self._apply(self._inverse, z).reshape(len(z), *self.shape)

    def _apply(self, matrices: list[Constant], x: Array) -> Array:
        n, after = len(x), 1
        for constant, size in zip(reversed(matrices), reversed(self.shape), strict=True):
            A = constant.like(x)
            # one large product on the last axis, a batch of small ones on those before it
            x = x.reshape(-1, size) @ A.T if after == 1 else A @ x.reshape(-1, size, after)
            after *= size
        return x.reshape(n, after)


def _orthogonal(name: str, value: ArrayLike) -> Vector:
    matrix = np.array(value, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise UsageError(f"{name} must be square, got shape {matrix.shape}")
    matrix = checked(name, matrix, matrix.shape)
    error = matrix.T @ matrix - np.eye(len(matrix))
    if np.abs(error).max() > ORTHONORMAL:
        raise UsageError(f"{name} must be orthonormal, but an entry of U^T U - I is {np.abs(error).max():.1e}")
    while np.abs(error).max() > 1e-14 * len(matrix):
        # Newton's iteration for the nearest orthogonal matrix (Higham 1986) squares the error at each turn
        matrix = matrix - matrix @ error / 2
        error = matrix.T @ matrix - np.eye(len(matrix))
    return matrix
