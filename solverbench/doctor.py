"""What is installed, what will run where, and why the rest will not.

A finding is a topic, a state and what to do about it. Looking must not change anything: no download, no GPU memory
beyond what asking a driver for its devices takes, and whatever a broken installation raises becomes a finding.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

State: TypeAlias = Literal["ok", "absent", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    topic: str
    state: State
    """absent: something optional is not there; broken: something that is there cannot be used."""
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything; the order is that of the report."""
    looks = [_python, _packages, _blas, _torch, _gpu, _cupy, _nvrtc, _pretrained, _caches, _engines]
    return [finding for look in looks for finding in _safely(look)]


def healthy(findings: list[Finding]) -> bool:
    """Whether nothing is broken."""
    return all(f.state != "broken" for f in findings)


def _safely(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:  # a doctor must not faint
        yield Finding(look.__name__.strip("_"), "broken", f"{type(error).__name__}: {error}", "reinstall it")


def _python() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} ({sys.executable}), {platform.platform()}")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("cpu", "ok", f"{usable} cores usable of {os.cpu_count()}")


def _packages() -> Iterator[Finding]:
    names = ("solverbench", "numpy", "scipy", "pandas", "matplotlib", "safetensors")
    yield Finding("packages", "ok", ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names))


def _blas() -> Iterator[Finding]:
    import numpy as np  # noqa: F401  so that its library is loaded
    import torch
    from threadpoolctl import threadpool_info

    for pool in threadpool_info():
        name, version = pool.get("internal_api"), pool.get("version") or ""
        yield Finding(f"threads of {name}", "ok", f"{version} {pool['num_threads']} threads".strip())
    yield Finding("threads of torch", "ok", f"{torch.get_num_threads()} threads, OMP_NUM_THREADS={_variable()}")


def _variable() -> str:
    return os.environ.get("OMP_NUM_THREADS", "unset")


def _torch() -> Iterator[Finding]:
    import torch

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    yield Finding("torch", "ok", f"{torch.__version__}, built {built}")


def _gpu() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        from solverbench.engines.cupy.device import why_not

        found, _, remedy = (why_not() or "").partition(": ")
        yield Finding("gpu", "absent", found, remedy)
        return
    for i in range(torch.cuda.device_count()):
        p: Any = torch.cuda.get_device_properties(i)
        memory = f"{p.total_memory / 2**30:.0f} GiB, {p.multi_processor_count} multiprocessors"
        yield Finding(f"gpu {i}", "ok", f"{p.name}, sm_{p.major}{p.minor}, {memory}")


def _cupy() -> Iterator[Finding]:
    packages = [d for d in importlib.metadata.distributions() if (d.metadata["Name"] or "").startswith("cupy")]
    installed = sorted({f"{d.metadata['Name']} {d.version}" for d in packages})
    if not installed:
        yield Finding("cupy", "absent", "not installed", "pip install 'solverbench[cuda12]', beside a GPU")
        return
    if len(installed) > 1:
        yield Finding("cupy", "broken", ", ".join(installed), "these overwrite each other: pip uninstall all but one")
        return
    import cupy
    import torch

    ours, theirs = str(cupy.cuda.runtime.runtimeGetVersion() // 1000), (torch.version.cuda or "").partition(".")[0]
    if theirs and ours != theirs:
        # each brings its own runtime library, so that this works; the driver must serve the newer of the two
        yield Finding("cupy", "ok", f"{installed[0]}, for CUDA {ours} beside a torch for CUDA {theirs}")
    else:
        yield Finding("cupy", "ok", installed[0])
    try:
        driver = cupy.cuda.runtime.driverGetVersion()
    except Exception:  # cupy raises its own type where there is no driver
        driver = 0
    if driver:
        yield Finding("driver", "ok", f"CUDA {driver // 1000}.{driver % 1000 // 10}")
    else:
        yield Finding("driver", "absent", "no CUDA driver", "install NVIDIA's driver, where there is a GPU")


def _nvrtc() -> Iterator[Finding]:
    from solverbench.engines.cupy import nvrtc
    from solverbench.engines.cupy.sources import combination

    path = nvrtc.find()
    if path is None:
        yield Finding("nvrtc", "absent", "not installed", "pip install nvidia-cuda-nvrtc-cu12")
        return
    nvrtc.compiled([combination("float32", 2, noise=False)], 80)
    yield Finding("nvrtc", "ok", f"{'.'.join(map(str, nvrtc.version()))}, compiles the kernels ({path})")


def _pretrained() -> Iterator[Finding]:
    from solverbench import pretrained
    from solverbench.errors import SolverbenchError

    for name in pretrained.names():
        try:
            pretrained.tensors(name)
        except SolverbenchError as error:
            found, _, remedy = str(error).rpartition(": ")
            yield Finding(f"pretrained {name}", "broken", found, remedy)
        else:
            yield Finding(f"pretrained {name}", "ok", "checksum agrees")


def _caches() -> Iterator[Finding]:
    from solverbench import artifacts

    root = artifacts.folder()
    nearest = next(place for place in (root, *root.parents) if place.exists())
    if not nearest.is_dir():
        remedy = "set SOLVERBENCH_CACHE to a folder, which need not exist yet"
        yield Finding("cache", "broken", f"{nearest} is a file: nothing can be kept in {root}", remedy)
        return
    states = {a.name: artifacts.state(a) for a in artifacts.catalogue()}
    there = ", ".join(name for name, state in states.items() if state == "cached") or "nothing"
    yield Finding("fetched", "ok", f"{there}, of {len(states)} artifacts, in {root}")
    if begun := [name for name, state in states.items() if state == "partial"]:
        yield Finding("fetched", "broken", f"incomplete: {', '.join(begun)}", f"solverbench fetch {' '.join(begun)}")


def _engines() -> Iterator[Finding]:
    import torch

    from solverbench.engines.cupy.device import why_not

    yield Finding("engine numpy", "ok", "runs on the CPU: any number type")
    yield Finding("engine torch", "ok", "runs on the CPU" + (" and on the GPU" if torch.cuda.is_available() else ""))
    if reason := why_not():
        found, _, remedy = reason.partition(": ")
        yield Finding("engine cupy", "absent", f"does not run: {found}", remedy)
    else:
        yield Finding("engine cupy", "ok", "runs on the GPU")
