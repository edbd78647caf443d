"""What is in an EDM `network-snapshot.pkl`, without executing any of it.

Such a file is a pickle of {"ema": network, ...} in which every module of the authors' is a call of
`torch_utils.persistence._reconstruct_persistent_obj` with its source text, which is never looked at here, its class
name and its `__dict__`; every tensor is a call of `torch.storage._load_from_bytes` with a stream of torch's old format,
which is read here too and never by torch. The names a file may use are the ones in `_ADMITTED`; each stands for a
function of this module that makes an inert value.

Source: the format of Karras et al. 2022 (arXiv 2206.00364), observed on files their published code writes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from solverbench.errors import ArtifactError
from solverbench.fields.edm.machine import Budget, Machine, Record, RefusedError, name_of, plain_set

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable

    from numpy.typing import NDArray

    from solverbench.fields.edm.machine import Admitted

BYTES = 8 << 30
"""Of a file; the largest published one has 1.2e9."""
MODULES = 20_000
MEMBERS = 200_000
"""Parameters, buffers and modules in modules."""
DEPTH = 12
"""Of modules in modules; EDM has 4."""
RANK = 8
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_BFLOAT16 = "torch.BFloat16Storage"
_STORAGES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    _BFLOAT16: "<u2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ByteStorage": "|u1",
    "torch.BoolStorage": "|u1",
}
_SCALARS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}


@dataclass(frozen=True)
class Snapshot:
    """The network `ema` of a file. Arrays are views of the file where they can be, and read-only."""

    class_name: str
    kwargs: dict[str, Any]
    """What it was constructed with, plain values."""
    attributes: dict[str, Any]
    """Its public attributes that are plain scalars."""
    classes: dict[str, str] = field(default_factory=dict)
    """Class name by path of each module that has one: {"": "EDMPrecond", "model": "SongUNet", ...}."""
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    """By key of `state_dict()`."""


def read_edm(path: pathlib.Path) -> Snapshot:
    """Read a file.

    Raises ArtifactError when it is missing, damaged, too large or not of this kind, or asks for anything an EDM network
    does not need.
    """
    try:
        if path.stat().st_size > BYTES:
            raise ArtifactError(f"{path}: refused as an EDM network: it has more than {BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
    return parse_edm(content, str(path))


def parse_edm(content: bytes, source: str) -> Snapshot:
    """The same from the bytes of a file; `source` names it in errors."""
    try:
        return _snapshot(content)
    except RefusedError as error:
        raise ArtifactError(f"{source}: refused as an EDM network: {error}") from error
    except Exception as error:  # a damaged file can raise almost anything
        raise ArtifactError(
            f"{source}: refused as an EDM network: it is damaged ({type(error).__name__}: {str(error)[:200]})"
        ) from error


# --- modules ----------------------------------------------------------------------------------------------------------


def _snapshot(content: bytes) -> Snapshot:
    budget = Budget(copied=len(content))
    machine = Machine(memoryview(content), _admitted(budget), budget)
    found = machine.load()
    if machine.at != len(content):
        raise RefusedError(f"{len(content) - machine.at:,} bytes follow its end")
    if not isinstance(found, dict):
        raise RefusedError(f"it holds no dictionary with 'ema', but {_kind(found)}")
    if "ema" not in found:
        keys = ", ".join(repr(key)[:40] for key in list(found)[:10]) or "nothing"
        raise RefusedError(f"it holds no network called 'ema', but {keys}")
    ema = found["ema"]
    if not isinstance(ema, Record) or ema.kind != "module":
        raise RefusedError(f"its 'ema' is no network, but {_kind(ema)}")
    state = _state(ema)
    if state.get("_init_args"):
        raise RefusedError("its network was constructed with arguments that are not named")
    kwargs = _plain(state.get("_init_kwargs"), [1000])
    if not isinstance(kwargs, dict):
        raise RefusedError("it does not say what its network was constructed with (_init_kwargs)")
    scalars = (bool, int, float, str)
    attributes = {k: v for k, v in state.items() if not str(k).startswith("_") and type(v) in scalars}
    collected = _Collected(len(content))
    collected.add(ema, "", 0)
    return Snapshot(ema.content["class_name"], kwargs, attributes, collected.classes, collected.tensors)


@dataclass
class _Collected:
    """What the modules of a network hold, and how many values it may hold yet: no more than the file has bytes."""

    left: int
    modules: int = 0
    members: int = 0
    classes: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)

    def add(self, module: Any, prefix: str, depth: int) -> None:
        """Everything in a module and the modules in it, under names that begin with `prefix`."""
        self.modules += 1
        if depth > DEPTH or self.modules > MODULES:
            raise RefusedError("its modules are too many or too deep")
        state = _state(module)
        if module.kind == "module":
            self.classes[prefix.removesuffix(".")] = module.content["class_name"]
        unsaved = state.get("_non_persistent_buffers_set", set())
        if not isinstance(unsaved, set | frozenset):
            raise RefusedError(f"_non_persistent_buffers_set of {prefix or 'its network'} is no set")
        for name, value in self._members(state, "_parameters", prefix).items():
            self._put(prefix + name, value)
        for name, value in self._members(state, "_buffers", prefix).items():
            if name not in unsaved:
                self._put(prefix + name, value)
        for name, value in self._members(state, "_modules", prefix).items():
            if value is not None:
                self.add(value, f"{prefix}{name}.", depth + 1)

    def _put(self, key: str, value: Any) -> None:
        if value is None:
            return
        if not isinstance(value, _Tensor):
            raise RefusedError(f"{key[:80]} is no tensor, but {_kind(value)}")
        self.left -= value.view.size
        if self.left < 0:
            raise RefusedError("it has more values than bytes")
        self.tensors[key] = value.array()

    def _members(self, state: dict[Any, Any], part: str, prefix: str) -> dict[str, Any]:
        """One of the dictionaries of a module, its names checked."""
        members = state.get(part, {})
        if not isinstance(members, dict):
            raise RefusedError(f"{part} of {prefix or 'its network'} is no dictionary")
        self.members += len(members)
        if self.members > MEMBERS:
            raise RefusedError("its modules have too many members")
        for name in members:
            if not isinstance(name, str) or not 0 < len(name) <= 80 or "." in name:
                raise RefusedError(f"{part} of {prefix or 'its network'} has an impossible name")
        return members


def _state(module: Any) -> dict[Any, Any]:
    """The `__dict__` of a module."""
    if not isinstance(module, Record) or module.kind not in ("module", "ModuleDict"):
        raise RefusedError(f"a part of its network is no module, but {_kind(module)}")
    state = module.content["state"] if module.kind == "module" else module.state
    if not isinstance(state, dict):
        raise RefusedError(f"the state of a {module.kind} in it is no dictionary")
    return state


def _plain(value: Any, left: list[int], depth: int = 0) -> Any:
    """A copy of a value made of plain ones, of which left[0] may come yet; tuples become lists."""
    left[0] -= 1
    if depth > 4 or left[0] < 0:
        raise RefusedError("the arguments of its network are too many or too deep")
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, str) and len(value) <= 200:
        return value
    if isinstance(value, list | tuple) and len(value) <= 100:
        return [_plain(part, left, depth + 1) for part in value]
    if isinstance(value, dict) and len(value) <= 100 and all(isinstance(k, str) and len(k) <= 80 for k in value):
        return {key: _plain(part, left, depth + 1) for key, part in value.items()}
    raise RefusedError(f"the arguments of its network are not plain: {_kind(value)}")


def _kind(value: object) -> str:
    return value.kind if isinstance(value, Record) else type(value).__name__.lstrip("_")


# --- tensors ----------------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Storage:
    kind: str
    data: NDArray[Any]


@dataclass(eq=False)
class _Tensor:
    kind: str
    view: NDArray[Any]

    def array(self) -> NDArray[Any]:
        """As numpy has it; bfloat16, which it lacks, as float32."""
        if self.kind == _BFLOAT16:
            return (self.view.astype(np.uint32) << 16).view(np.float32)
        return self.view != 0 if self.kind == "torch.BoolStorage" else self.view


@dataclass(eq=False)
class _Announced:
    kind: str
    key: str
    count: int


def _stream(content: object, budget: Budget) -> _Storage:
    """A storage out of a stream as torch wrote it before it had archives: five pickles, a count and the values."""
    if not isinstance(content, bytes | memoryview):
        raise RefusedError("it has a tensor that is no stream of bytes")
    # nothing is ever called here: a name of a type is only passed as an argument
    types = {("torch", name.removeprefix("torch.")): _uncalled for name in _STORAGES}
    machine = Machine(memoryview(content), types, budget, persistent=_announced)
    magic, version, system, announced, keys = (machine.load() for _ in range(5))
    if magic != _MAGIC or version != _VERSION or type(magic) is not int:
        raise RefusedError("it has a tensor that is not of torch's old format")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise RefusedError("it was written on a machine whose numbers are in another order")
    if not isinstance(announced, _Announced) or keys != [announced.key]:
        raise RefusedError("it has a tensor of several storages, or none")
    (count,) = struct.unpack("<q", machine.take(8))
    form = np.dtype(_STORAGES[announced.kind])
    left = len(machine.content) - machine.at
    if count != announced.count or count * form.itemsize != left:
        raise RefusedError(f"it has a storage of {announced.count:,} values, but {left:,} bytes for them")
    return _Storage(announced.kind, np.frombuffer(machine.take(left), form))


def _announced(identity: Any) -> _Announced:
    """What the persistent id of a storage says."""
    if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
        raise RefusedError("it has a persistent id that is no storage")
    kind, key, place, count = name_of(identity[1]), *identity[2:5]
    if kind not in _STORAGES or type(key) is not str or type(place) is not str or identity[5:] not in ((), (None,)):
        raise RefusedError("it has a persistent id that is no storage")
    if not _index(count):
        raise RefusedError("it has a storage of an impossible size")
    return _Announced(kind, key, count)


def _rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, more: Any = None
) -> _Tensor:
    """A view of a storage, after every bound was checked."""
    if not isinstance(storage, _Storage):
        raise RefusedError("it has a tensor without a storage")
    lengths = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= RANK
    if not lengths or not all(map(_index, (offset, *size, *stride))):
        raise RefusedError("it has a tensor of an impossible offset, size or stride")
    data, count = storage.data, math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count > len(data) or (count and last >= len(data)):
        raise RefusedError(f"it has a tensor that reaches past its storage of {len(data):,} values")
    if not count:
        return _Tensor(storage.kind, np.zeros(size, data.dtype))
    steps = tuple(step * data.itemsize for step in stride)
    return _Tensor(storage.kind, as_strided(data[offset:], size, steps, writeable=False))


def _index(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 40


def _rebuild_parameter(data: object, grad: object, hooks: object) -> object:
    if not isinstance(data, _Tensor):
        raise RefusedError("it has a parameter that is no tensor")
    return data


# --- names ------------------------------------------------------------------------------------------------------------


def _uncalled(*_: object) -> object:
    raise RefusedError("it calls the type of a storage")


def _module(meta: object) -> Record:
    """One of the authors' modules."""
    if not isinstance(meta, dict) or meta.get("type") != "class":
        raise RefusedError("it has a persistent object that is no class")
    name, state = meta.get("class_name"), meta.get("state")
    if not isinstance(name, str) or not name.isidentifier() or len(name) > 80 or not isinstance(state, dict):
        raise RefusedError("it has a persistent object without a class name or state")
    return Record("module", {"class_name": name, "state": state})


def _dictionary() -> dict[Any, Any]:
    return {}


def _set(items: object = ()) -> set[Any]:
    if not isinstance(items, list | tuple) or len(items) > 16:
        raise RefusedError("it has a set that is none, or too large")
    return plain_set(list(items))


def _dtype(code: object, *_: object) -> Record:
    if not isinstance(code, str) or code not in _SCALARS:
        raise RefusedError("it has numbers of an unknown type")
    return Record("dtype", code)


def _scalar(dtype: object, content: object) -> bool | int | float:
    """A number of numpy's as one of Python's."""
    if not isinstance(dtype, Record) or dtype.kind != "dtype" or not isinstance(content, bytes | memoryview):
        raise RefusedError("it has a number that is none")
    if isinstance(dtype.state, tuple) and dtype.state[1:2] == (">",):
        raise RefusedError("it was written on a machine whose numbers are in another order")
    form = np.dtype(dtype.content).newbyteorder("<")
    if len(content) != form.itemsize:
        raise RefusedError("it has a number of a wrong length")
    value: bool | int | float = np.frombuffer(content, form)[0].item()
    return value


def _encode(text: object, encoding: object, budget: Budget) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise RefusedError("it has text in an unexpected encoding")
    budget.copied -= len(text)
    if budget.copied < 0:
        raise RefusedError("it encodes more text than it has")
    return text.encode("latin1")


def _admitted(budget: Budget) -> Admitted:
    """What each name that a file may use stands for."""

    def stream(content: object) -> _Storage:
        return _stream(content, budget)

    def encode(text: object, encoding: object) -> bytes:
        return _encode(text, encoding, budget)

    return _ADMITTED | {("torch.storage", "_load_from_bytes"): stream, ("_codecs", "encode"): encode}


_ADMITTED: dict[tuple[str, str], Callable[..., object]] = {
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _module,
    ("collections", "OrderedDict"): _dictionary,
    ("dnnlib.util", "EasyDict"): _dictionary,
    ("builtins", "set"): _set,
    ("__builtin__", "set"): _set,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch.nn.modules.container", "ModuleDict"): lambda: Record("ModuleDict"),
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
}
