"""States as pictures and back: pixels in [-1, 1] and bytes."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_pictures(x: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pixels in [-1, 1] (n, 3, h, w) as bytes; what lies outside is clipped, what is not finite is black."""
    pixels = np.nan_to_num(x, nan=-1.0, posinf=-1.0, neginf=-1.0)
    result: np.ndarray[Any, np.dtype[np.uint8]] = np.clip((pixels + 1) * 127.5, 0, 255).round().astype(np.uint8)
    return result


def as_states(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Bytes as pixels in [-1, 1], of the same shape."""
    states: np.ndarray[Any, np.dtype[np.float32]] = pictures.astype(np.float32) / np.float32(127.5) - np.float32(1)
    return states
