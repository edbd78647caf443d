"""The kernels compiled by the host's C++ compiler: the same text, with `shim.hpp` in place of the GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

from solverbench.engines.cupy import sources

COMPILER = shutil.which("g++") or shutil.which("c++")
FLAGS = ["-std=c++17", "-O0", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
FLAGS += ["-ffp-contract=off", "-fno-strict-aliasing"]  # as CUDA has it: packs are loaded through cast pointers
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
EXTRA = {"combine_noise.cu": """
extern "C" void philox_words(const unsigned long long* c, const unsigned long long* key, unsigned long long* out) {
    Words words = philox({{c[0], c[1], c[2], c[3]}}, key[0], key[1]);
    for (int i = 0; i < 4; i++) out[i] = words.w[i];
}
"""}
"""What tests want to look at beside kernels."""


class Host:
    """A device whose launches run here, one thread after another; states are in the host's memory."""

    multiprocessors = 1

    def __init__(self, libraries: list[Path], kernels: list[sources.Kernel]) -> None:
        self.launches: list[tuple[str, int]] = []
        self.libraries = [ctypes.CDLL(str(path)) for path in libraries]
        self._functions = {}
        for kernel in kernels:
            name = exported(kernel)
            function = next(getattr(library, name) for library in self.libraries if hasattr(library, name))
            function.argtypes = [ctypes.c_void_p, *[ctypes.c_uint] * 4]
            function.restype = ctypes.c_size_t
            self._functions[kernel] = function

    def launch(self, kernel, blocks, threads, argument, only=None):
        """Run a kernel; `only` the blocks of that range, if given."""
        self.launches.append((kernel.expression, blocks))
        first, last = only or (0, blocks)
        size = self._functions[kernel](argument.ctypes.data, blocks, threads, first, last)
        assert size == argument.nbytes, "the structure has another layout in C++"

    def philox(self, counter, key):
        """The words of a counter under a key."""
        out = (ctypes.c_uint64 * 4)()
        library = next(library for library in self.libraries if hasattr(library, "philox_words"))
        library.philox_words((ctypes.c_uint64 * 4)(*counter), (ctypes.c_uint64 * 2)(*key), out)
        return list(out)


def exported(kernel: sources.Kernel) -> str:
    """A C name for an instantiation."""
    return "".join(c if c.isalnum() else "_" for c in kernel.expression)


def build(folder: Path, kernels: list[sources.Kernel], flags: list[str]) -> list[Path]:
    """Compile kernels into one shared library for each of their files."""
    jobs = []
    for file in dict.fromkeys(k.file for k in kernels):
        fibers = "#define FIBERS" if "__shfl" in sources.text(file) else ""
        lines = [fibers, f'#include "{Path(__file__).with_name("shim.hpp")}"', sources.text(file), EXTRA.get(file, "")]
        for kernel in (k for k in kernels if k.file == file):
            call = f"launch(&{kernel.expression}, a, grid, block, first, last)"
            types = "const void* a, unsigned grid, unsigned block, unsigned first, unsigned last"
            lines.append(f'extern "C" size_t {exported(kernel)}({types}) {{ return {call}; }}')
        source = folder / f"{Path(file).stem}.cpp"
        source.write_text("\n".join(lines), "utf-8")
        library = source.with_suffix(".so")
        jobs.append((library, subprocess.Popen([COMPILER, *FLAGS, *flags, str(source), "-o", str(library)])))
    for library, job in jobs:
        assert job.wait() == 0, f"{library.stem} does not compile"
    return [library for library, _ in jobs]
