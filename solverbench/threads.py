"""One pool of threads at a time.

numpy's OpenBLAS and torch's OpenMP both wait for work by spinning. Where calls to them alternate on few cores, each
keeps the other from running; numpy's share of the work here is small, so it gets one thread meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


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
