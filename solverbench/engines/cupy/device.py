"""cupy as the device: kernels are compiled on first use, cached by cupy on disk, and launched on torch's stream."""

from __future__ import annotations

import importlib.util
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch

from solverbench.engines.cupy.combine import Device
from solverbench.engines.cupy.sources import OPTIONS, Kernel, text
from solverbench.errors import UsageError

REMEDY = "see what is missing with `solverbench doctor`"
HERE = nullcontext()


class Cuda:
    """One GPU, by its number."""

    def __init__(self, index: int) -> None:
        import cupy

        self.index = index
        self._cupy = cupy
        with cupy.cuda.Device(index) as device:
            self.multiprocessors = int(device.attributes["MultiProcessorCount"])
        self._functions: dict[Kernel, Any] = {}
        self._streams: dict[int, Any] = {}

    def launch(self, kernel: Kernel, blocks: int, threads: int, argument: np.ndarray[Any, Any]) -> None:
        """Put a kernel on torch's current stream; its argument is copied before this returns."""
        # cupy asks an argument for its address by a description of all its entries, which takes numpy 50 microseconds
        opaque = argument.view(f"V{argument.nbytes}")
        with HERE if torch.cuda.current_device() == self.index else self._cupy.cuda.Device(self.index):
            stream = self._adopted(torch.cuda.current_stream(self.index))
            self._function(kernel)((blocks,), (threads,), (opaque,), stream=stream)

    def _adopted(self, stream: torch.cuda.Stream) -> Any:
        """A stream of torch's as one of cupy's, which from version 14 on takes it by a protocol."""
        found = self._streams.get(stream.cuda_stream)
        if found is None:
            cuda = self._cupy.cuda
            if hasattr(cuda.Stream, "from_external") and hasattr(stream, "__cuda_stream__"):
                found = cuda.Stream.from_external(stream)
            else:
                found = cuda.ExternalStream(stream.cuda_stream, self.index)
            self._streams[stream.cuda_stream] = found
        return found

    def _function(self, kernel: Kernel) -> Any:
        found = self._functions.get(kernel)
        if found is None:
            module = self._cupy.RawModule(code=text(kernel.file), options=OPTIONS, name_expressions=[kernel.expression])
            found = self._functions[kernel] = module.get_function(kernel.expression)
        return found


def why_not() -> str | None:
    """What keeps the kernels from running here, in words with the remedy; None if nothing does."""
    if not torch.cuda.is_available():
        built = "torch sees no GPU" if torch.version.cuda else "this torch was built without CUDA"
        return f"{built}: install a driver and a CUDA build of torch, see https://pytorch.org/get-started"
    wanted = f"cupy-cuda{(torch.version.cuda or '12').partition('.')[0]}x"
    if importlib.util.find_spec("cupy") is None:
        return f"cupy is not installed: pip install {wanted}"
    try:
        import cupy

        if cupy.cuda.runtime.getDeviceCount() < 1:
            return "cupy sees no GPU, though torch does: compare CUDA_VISIBLE_DEVICES and the driver"
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # whatever a broken installation raises
        return f"cupy cannot be used ({type(error).__name__}: {error}): reinstall it as {wanted}"
    return None


def require() -> None:
    """Raise UsageError, with the remedy, where the kernels cannot run."""
    if reason := why_not():
        raise UsageError(f"engine 'cupy' cannot run here: {reason}; {REMEDY}")


@cache
def device(index: int) -> Device:
    """The GPU of that number. Raises UsageError where there is none or cupy cannot use it."""
    require()
    return Cuda(index)


def found(index: int) -> Device | None:
    """The GPU of that number, or None where cupy cannot use it."""
    try:
        return device(index)
    except UsageError:
        return None


def to_cupy(x: torch.Tensor) -> Any:
    """The same memory as a cupy array; torch's current stream is waited for by cupy's, not by the host."""
    import cupy

    return cupy.from_dlpack(x)
