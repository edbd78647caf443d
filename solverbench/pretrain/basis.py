"""The separable orthogonal basis in which natural-image covariances are nearly diagonal: z = (Q (x) C (x) C) x."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from solverbench.pretrain.data import CHANNELS, DIMENSION, SIDE, Bytes, to_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS = 4096


@dataclass(frozen=True)
class Basis:
    """Orthogonal `colour` (3, 3) and `frequency` (32, 32), float64, rows the basis vectors."""

    colour: NDArray[np.float64]
    frequency: NDArray[np.float64]

    def to_coordinates(self, pixels: Tensor) -> Tensor:
        """z[a, i, j] = sum Q[a, c] C[i, h] C[j, w] x[c, h, w] for rows (n, 3072), in their dtype."""
        return self._apply(pixels, self.colour, self.frequency)

    def to_pixels(self, coordinates: Tensor) -> Tensor:
        """The inverse, by transposes."""
        return self._apply(coordinates, self.colour.T, self.frequency.T)

    @staticmethod
    def _apply(rows: Tensor, colour: NDArray[np.float64], frequency: NDArray[np.float64]) -> Tensor:
        Q, C = (torch.tensor(m, dtype=rows.dtype) for m in (colour, frequency))
        out = torch.empty_like(rows)
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS].reshape(-1, CHANNELS, SIDE, SIDE)
            out[start : start + _ROWS] = (C @ torch.einsum("ac,nchw->nahw", Q, block) @ C.T).reshape(-1, DIMENSION)
        return out


def fit_basis(images: Bytes) -> Basis:
    """Principal axes of the pixel colours (largest entry positive) and the orthonormal 32-point DCT-II."""
    colours = to_pixels(images).reshape(-1, CHANNELS, SIDE * SIDE).transpose(1, 0, 2).reshape(CHANNELS, -1)
    vectors = np.linalg.eigh(np.cov(colours.astype(np.float64)))[1][:, ::-1].T
    largest = vectors[np.arange(CHANNELS), np.abs(vectors).argmax(1)]
    return Basis(np.ascontiguousarray(vectors * np.sign(largest)[:, None]), dct(SIDE))


def dct(size: int) -> NDArray[np.float64]:
    """Orthonormal DCT-II, rows the cosines by rising frequency."""
    k, j = np.arange(size)[:, None], np.arange(size)[None, :]
    matrix: NDArray[np.float64] = np.cos(math.pi * (j + 0.5) * k / size) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix
