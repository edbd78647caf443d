"""The kernels: their text, and every instantiation that the engine may ask for. Needs neither cupy nor a GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "kernels"
OPTIONS = ("--std=c++17",)
MAX_TERMS = 12
"""Operands of one combination; longer ones take several passes."""
TYPES = {"float32": "float", "float64": "double", "float16": "f16", "bfloat16": "bf16"}


class Kernel(NamedTuple):
    """One instantiation: the file that defines it and the C++ expression that names it."""

    file: str
    expression: str


@cache
def text(file: str) -> str:
    """The source of a kernel file with its headers in place, each once.

    One string, because cupy's cache of compiled kernels is keyed by the source and would not see a header change.
    """
    seen: set[str] = set()

    def read(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        lines = (FOLDER / name).read_text("utf-8").replace("#pragma once\n", "")
        return re.sub(r'^#include "(.+)"\n', lambda m: read(m[1]), lines, flags=re.M)

    return read(file)


@cache
def combination(dtype: str, terms: int, noise: bool) -> Kernel:
    """The kernel that combines so many states of a type."""
    name = "combine_noise" if noise else "combine"
    return Kernel(f"{name}.cu", f"{name}<{TYPES[dtype]}, {terms}>")


def responsibility(dtype: str) -> Kernel:
    """The kernel between the matrix products of a mixture's field; states are float32 or float64."""
    return Kernel("responsibility.cu", f"responsibility<{TYPES[dtype]}>")


def law() -> Kernel:
    """The kernel of exact laws."""
    return Kernel("law.cu", "law")


def every() -> Iterator[Kernel]:
    """Every instantiation, for the tests that compile them all."""
    for dtype in TYPES:
        for terms in range(MAX_TERMS + 1):
            if terms:
                yield combination(dtype, terms, noise=False)
            yield combination(dtype, terms, noise=True)
    for dtype in ("float32", "float64"):
        yield responsibility(dtype)
    yield law()
