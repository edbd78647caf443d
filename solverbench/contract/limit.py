"""A limit of time on what a solver's own code does in this process."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_AGAIN = 0.1
"""Seconds after which it is looked, or sent, again."""


class OutOfTime(BaseException):
    """The limit has passed. No Exception, so that nothing on the way takes it for an error of its own."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the block once this process has computed for so long in it.

    Seconds of the processor, so that a busy machine fails nobody; what waits for ever is not seen. The exception comes
    when Python code runs next, and again as long as the block goes on: one that comes in a finalizer or in a callback
    of the garbage collector is lost.
    """
    thread, done, began = threading.get_ident(), threading.Event(), time.process_time()

    def send(what: type[BaseException] | None) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what and ctypes.py_object(what))

    def watch() -> None:
        while not done.wait(max(_AGAIN, seconds - (time.process_time() - began))):
            if time.process_time() - began >= seconds:
                send(OutOfTime)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        while watcher.is_alive():
            with suppress(OutOfTime):  # one more, sent while the block ended
                done.set()
                watcher.join()
                send(None)  # what was sent and has not come
