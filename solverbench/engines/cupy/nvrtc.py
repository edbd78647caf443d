"""Compiling the kernels with NVRTC by itself, without cupy and without a GPU, and what the assembler says of them.

    python -m solverbench.engines.cupy.nvrtc > docs/kernels.md

prints registers, spills, stack and compile time of every instantiation (minutes).
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from solverbench.engines.cupy.sources import OPTIONS, Kernel, every, text

ARCHITECTURES = (70, 80, 86, 89, 90)
"""V100; A100; RTX 30; RTX 40 and L4; H100."""
PACKAGES = ("nvidia.cuda_nvrtc", "nvidia.cu13")
_NAME = re.compile(r"(lib)?nvrtc(64)?[._\d]*(so|dll)[.\d]*")
"""libnvrtc.so.12, nvrtc64_120_0.dll."""


@dataclass(frozen=True)
class Resources:
    """What one instantiation takes on one architecture, by the assembler's report; memory in bytes per thread."""

    expression: str
    registers: int
    spilled: int
    stack: int
    shared: int


def find() -> Path | None:
    """NVRTC's library as NVIDIA's packages on PyPI install it, or None."""
    for package in PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or []) if spec else []:
            found = [p for p in Path(folder).glob("**/*nvrtc*") if _NAME.fullmatch(p.name)]
            if found:
                return min(found)
    return None


@cache
def _library() -> ctypes.CDLL:
    path = find()
    if path is None:
        raise FileNotFoundError("NVRTC is not installed: pip install nvidia-cuda-nvrtc-cu12")
    return ctypes.CDLL(str(path))


def version() -> tuple[int, int]:
    """NVRTC's version."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def compiled(kernels: Sequence[Kernel], architecture: int, *options: str) -> tuple[bytes, str, list[str]]:
    """(PTX, the compiler's messages, mangled names) of kernels of one file. Raises RuntimeError with the messages."""
    library, program = _library(), ctypes.c_void_p()
    names = [k.expression.encode() for k in kernels]
    source, file = text(kernels[0].file).encode(), kernels[0].file.encode()
    library.nvrtcCreateProgram(ctypes.byref(program), source, file, 0, None, None)
    try:
        for name in names:
            library.nvrtcAddNameExpression(program, name)
        given = [o.encode() for o in (f"--gpu-architecture=sm_{architecture}", *OPTIONS, *options)]
        failed = library.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
        log = _bytes(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program).decode().strip("\0\n ")
        if failed:
            raise RuntimeError(f"{kernels[0].file} does not compile for sm_{architecture}:\n{log}")
        return _bytes(library.nvrtcGetPTXSize, library.nvrtcGetPTX, program), log, [_lowered(program, n) for n in names]
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _lowered(program: ctypes.c_void_p, name: bytes) -> str:
    found = ctypes.c_char_p()
    _library().nvrtcGetLoweredName(program, name, ctypes.byref(found))
    return (found.value or b"").decode()


def _bytes(size_of: object, get: object, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))  # type: ignore[operator]
    buffer = ctypes.create_string_buffer(size.value)
    get(program, buffer)  # type: ignore[operator]
    return buffer.raw


def warnings(log: str) -> list[str]:
    """The lines of a compiler's log that are not the assembler's report or the notice that an architecture is old."""
    ours = [line for line in log.splitlines() if line.strip() and "ptxas info" not in line]
    return [line for line in ours if "are deprecated and may be removed" not in line and not _REPORT.search(line)]


_REPORT = re.compile(r"bytes stack frame|Used \d+ registers|Compile time|bytes gmem|Function properties")


def resources(kernels: Sequence[Kernel], architecture: int) -> Iterator[Resources]:
    """Registers, spills, stack and shared memory of kernels of one file."""
    _, log, mangled = compiled(kernels, architecture, "--ptxas-options=-v")
    by_name = dict(zip(mangled, kernels, strict=True))
    for part in re.split(r"Compiling entry function", log)[1:]:
        name = re.search(r"'(\S+?)'", part)
        stack = re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part)
        registers = re.search(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        if not (name and stack and registers):
            raise RuntimeError(f"the assembler's report is of an unknown form: {part[:300]}")
        yield Resources(
            by_name[name[1]].expression,
            int(registers[1]),
            int(stack[2]) + int(stack[3]),
            int(stack[1]),
            int(shared[1]) if shared else 0,
        )


HEAD = """# Kernels

What the assembler says of every instantiation of the kernels in `solverbench/engines/cupy/kernels`, compiled by NVRTC
{version}. Made without a GPU by `python -m solverbench.engines.cupy.nvrtc > docs/kernels.md`; these are the compiler's
numbers, not measurements of speed. Registers are per thread, in the order of the instantiations named; spills and
stack are bytes per thread, shared memory bytes per block. Blocks have 256 threads, so that up to 32 registers leave
2048 threads on a multiprocessor, 64 leave 1024 and 128 leave 512. The time is that of compiling the row on one core.

"""


def table() -> str:
    """The page docs/kernels.md."""
    from tabulate import tabulate

    rows = []
    for architecture in ARCHITECTURES:
        for kernels in _families():
            started = time.perf_counter()
            found = list(resources(kernels, architecture))
            seconds = time.perf_counter() - started
            by_name = {r.expression: r for r in found}
            ordered = [by_name[k.expression] for k in kernels]
            rows.append({
                "sm": architecture,
                "kernels": f"`{_span(kernels)}`",
                "registers": " ".join(str(r.registers) for r in ordered),
                "spills": max(r.spilled for r in ordered),
                "stack": max(r.stack for r in ordered),
                "shared": max(r.shared for r in ordered),
                "compile s": f"{seconds:.1f}",
            })  # fmt: skip
            print(f"sm_{architecture} {_span(kernels)}", file=sys.stderr)
    version_ = ".".join(map(str, version()))
    return HEAD.format(version=version_) + tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def _families() -> Iterator[list[Kernel]]:
    """Instantiations that differ in their last template argument only."""
    found: dict[str, list[Kernel]] = {}
    for kernel in every():
        found.setdefault(kernel.expression.rpartition(",")[0] or kernel.expression, []).append(kernel)
    yield from found.values()


def _span(kernels: Sequence[Kernel]) -> str:
    """combine<float, 1..12>"""
    head, _, first = kernels[0].expression.rpartition(", ")
    last = kernels[-1].expression.rpartition(", ")[2]
    return kernels[0].expression if len(kernels) == 1 else f"{head}, {first[:-1]}..{last}"


if __name__ == "__main__":
    print(table())
