"""Standard normal numbers as a function of (seed, stream, sample, position): nothing else.

A result that depends on its noise must not depend on how samples were batched, chunked or ordered, nor on the device.
So noise is counter based: Philox-4x64-10 (Salmon et al. 2011; numpy's bit generator of that name) under the key
(seed, stream). Sample i owns blocks i B .. (i + 1) B - 1 of four words, B = ceil(d/8), block b being the output for
counter b + 1. One word gives two numbers: its upper and lower 32 bits a, b become

    r = sqrt(-2 log((a + 1/2) / 2^32)),  phi = 2 pi b / 2^32,  position j: r cos phi,  position ceil(d/2) + j: r sin phi

(Box & Muller 1958) for word j. The transform is fixed, so that any implementation of it gives the same numbers up to
the rounding of its logarithm and cosine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from solverbench.plans import Noise

START = 0
"""The stream of initial states; those of draws follow."""

MAX_SEED = 2**64


class Source(Protocol):
    """Where the noise of a plan comes from."""

    def __call__(self, draw: Noise, seed: int, first: int, n: int, d: int, dtype: Any) -> np.ndarray[Any, Any]:
        """Standard normal numbers (n, d) of samples first .. first + n - 1, in float32 or float64."""


def independent(draw: Noise, seed: int, first: int, n: int, d: int, dtype: Any) -> np.ndarray[Any, Any]:
    """Every draw by itself, by its number in the plan: right in law, and different on every grid."""
    return normals(seed, stream_of(draw), first, n, d, dtype)


def stream_of(draw: Noise) -> int:
    """The stream of a draw that is independent of all others."""
    return START + 1 + draw.draw


def normals(
    seed: int, stream: int, first: int, n: int, d: int, dtype: np.dtype[Any] | type = np.float64
) -> np.ndarray[Any, Any]:
    """Return (n, d) standard normal numbers of samples first .. first + n - 1, in float32 or float64.

    The float32 numbers are those of float64 up to the rounding of the uniform ones, which matters most near r = 0
    (4e-4 at worst). The largest modulus possible is 6.8, since the uniform numbers have 32 bits.
    """
    dtype = np.dtype(dtype)
    half = -(-d // 2)
    blocks = -(-half // 4)
    key = np.array([seed % MAX_SEED, stream], dtype=np.uint64)
    counter = np.array([first * blocks, 0, 0, 0], dtype=np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(n * blocks * 4)
    words = raw.reshape(n, blocks * 4)[:, :half]

    unit = dtype.type(2.0**-32)
    r = (words >> np.uint64(32)).astype(dtype)
    r += dtype.type(0.5)
    r *= unit
    np.log(r, out=r)
    r *= dtype.type(-2)
    np.maximum(r, 0, out=r)  # a float32 uniform may round to 1, whose logarithm is -0.0 or just above
    np.sqrt(r, out=r)
    phi = (words & np.uint64(0xFFFFFFFF)).astype(dtype)
    phi *= dtype.type(2 * np.pi) * unit
    z = np.empty((n, 2 * half), dtype=dtype)
    np.multiply(r, np.cos(phi), out=z[:, :half])
    np.multiply(r, np.sin(phi), out=z[:, half:])
    return z[:, :d]
