"""What the numbers of a cell depend on, as one hash: two cells with the same hash have the same numbers.

A solver enters as its plan, which is all an engine sees of it: a changed source that leaves the program as it was
changes nothing, and a changed coefficient always does. What a problem asks of the solver itself (`Problem.asks`)
enters beside it. Everything that executes and measures plans enters as the source of this package's modules for that,
so that no version number has to be remembered. What cannot be seen through, a field that is a program of the user's or
a pointwise function in a plan, has no identity and is computed every time.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Collection, Iterable
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from solverbench import pretrained
from solverbench.eta import Eta
from solverbench.plans import LinComb, Map, Plan
from solverbench.problems.base import ProblemSpec

_MEASURING = ("engines", "fields", "grids", "measures", "networks", "orders", "paths", "plans", "problems")
_WORDS = ("name", "field", "nfe", "solvers", "table", "about")
"""Of a problem: what it and its field, which enters by its content, are called, and who is judged on it."""
_LIBRARIES = ("numpy", "scipy", "torch")
_SOURCES = (".py", ".cu", ".cuh")


def identity(spec: ProblemSpec, plan: Plan | None, seed: int, asks: Iterable[Any] = ()) -> str | None:
    """64 hexadecimal digits for a plan on a problem under a seed, or None where not all is known.

    Without a plan: of what all cells of the problem share. asks: what the problem asks beside, plans or plain values.
    """
    field, program = _field(spec.field), _program(plan) if plan else "shared"
    beside = [_program(thing) if isinstance(thing, Plan) else [thing] for thing in asks]
    if field is None or program is None or None in beside:
        return None
    asked = {key: value for key, value in vars(spec).items() if key not in _WORDS}
    return _digest([asked, field, program, beside, seed, _package(), _machine(), _device(spec.device)])


def _program(plan: Plan) -> str | None:
    if any(isinstance(i, Map) for i in plan.code):
        return None
    code = [
        [type(i).__name__, *([[v, float(c).hex()] for v, c in i.terms] if isinstance(i, LinComb) else _numbers(i))]
        for i in plan.code
    ]
    grid = [float(t).hex() for t in plan.grid.times]
    return _digest([repr(plan.path), plan.prediction, grid, code, plan.output])


def _numbers(instruction: Any) -> list[str]:
    values = (getattr(instruction, key) for key in instruction.__slots__)
    return [str(v) if v is None or isinstance(v, Eta) else float(v).hex() for v in values]


@cache
def _field(name: str) -> str | None:
    """The checksum of a shipped field, with its teacher's if it has one; of others only what is a file of numbers."""
    if name in pretrained.names():
        card = pretrained.card(name)
        return _digest([card["sha256"], card.get("teacher")])
    path = Path(name)
    if path.suffix in (".npy", ".npz", ".pkl") and path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return None


@cache
def _package() -> str:
    """The source of all that executes a plan and measures what comes out."""
    return source(_MEASURING)


def source(folders: Collection[str] | None = None) -> str:
    """sha256 of this package's modules and kernels: of those in the given folders and at the top, or of all."""
    root = Path(str(resources.files("solverbench")))
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.suffix in _SOURCES}
    wanted = sorted(name for name in files if "/" not in name or folders is None or name.split("/")[0] in folders)
    content = [(name, files[name].read_bytes()) for name in wanted]
    return hashlib.sha256(b"".join(name.encode() + b"\0" + text for name, text in content)).hexdigest()


@cache
def _machine() -> list[str]:
    """Libraries, and the kind of processor: rounding differs between them."""
    import torch

    versions = [f"{name} {metadata.version(name)}" for name in _LIBRARIES]
    return [*versions, platform.machine(), torch.backends.cpu.get_cpu_capability()]


@cache
def _device(name: str) -> list[str]:
    """The kind of GPU and its libraries, of a run on one."""
    if name == "cpu":
        return []
    import torch

    versions = [f"{d.name} {d.version}" for d in metadata.distributions() if d.name.startswith("cupy")]
    return [torch.cuda.get_device_name(), str(torch.version.cuda), *sorted(versions)]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
