"""The uint8 array out of a CIFAR-10 python batch, without trusting the pickle around it.

A pickle may name any importable callable and have it called. A CIFAR-10 batch needs three names from numpy and, when
it was re-saved by Python 3, `_codecs.encode`. Those resolve here to stand-ins that can only build an empty uint8
array, a uint8 dtype or latin-1 bytes; every other name is refused before anything is imported.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class _Ndarray:
    """Stands for `numpy.ndarray`, which a batch only ever passes as an argument."""

    def __new__(cls, *_: object) -> _Ndarray:
        raise pickle.UnpicklingError("numpy.ndarray called directly")


def _reconstruct(kind: object, shape: object, code: object) -> NDArray[np.uint8]:
    """An empty array, to be filled by its pickled state."""
    if kind is not _Ndarray or shape != (0,) or code not in (b"b", "b"):
        raise pickle.UnpicklingError("unexpected array header")
    return np.empty((0,), np.uint8)


def _dtype(code: object, *_: object) -> np.dtype[Any]:
    if code not in (b"u1", "u1"):
        raise pickle.UnpicklingError(f"unexpected dtype {code!r}")
    return np.dtype(np.uint8, copy=True)  # a copy: its state is set next


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("unexpected text encoding")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Callable[..., object]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., object]:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch needs") from None


def read_batch(content: bytes, source: str) -> NDArray[np.uint8]:
    """Rows of a batch as uint8, shape (n, 3072); `source` names it in errors.

    Raises ArtifactError when the content is damaged, asks for anything a batch does not need, or holds no images.
    """
    try:
        batch = _Reader(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # malformed pickles raise almost anything
        raise ArtifactError(f"{source}: refused as a CIFAR-10 batch: {error}") from error
    data = batch.get(b"data", batch.get("data")) if isinstance(batch, dict) else None
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise ArtifactError(f"{source}: holds no uint8 images of 3072 values each")
    return np.ascontiguousarray(data)
