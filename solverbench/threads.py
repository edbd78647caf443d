"""One pool of threads at a time.

numpy's OpenBLAS and torch's OpenMP both wait for work by spinning. Where calls to them alternate on few cores, each
keeps the other from running; numpy's share of the work here is small, so it gets one thread meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

WORTH_THREADS = 512
"""Side of a matrix from which on its factorisation is faster on several threads; at 192, two are five times slower."""


@contextmanager
def numpy_on_one_thread() -> Iterator[None]:
    """Limit OpenBLAS to one thread inside the context; torch and other libraries keep theirs."""
    from threadpoolctl import ThreadpoolController

    with ThreadpoolController().select(internal_api="openblas").limit(limits=1):
        yield


def one_thread() -> None:
    """Give this process one thread for numpy and torch, for good."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """One thread for numpy and torch inside the context: sums are then formed in one order on every machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with numpy_on_one_thread():
            yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def blas_for(side: int) -> Iterator[None]:
    """Linear algebra on matrices of this side: on one thread where more would only wait for each other."""
    if side > WORTH_THREADS:
        yield
    else:
        with _openblas().limit(limits=1):
            yield


@cache
def _openblas() -> Any:
    """Looking for libraries takes longer than a small factorisation; numpy's is there from the start."""
    import scipy.linalg  # noqa: F401  # brings its own
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(internal_api="openblas")
