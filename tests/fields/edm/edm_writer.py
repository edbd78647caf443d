"""Writes files as EDM stores networks, and hostile ones: pickles whose globals need not exist here."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

BUFFERS = ("resample_filter", "freqs", "u")


@dataclass(frozen=True)
class Name:
    """A global name."""

    module: str
    qualname: str


@dataclass(eq=False)
class Call:
    """REDUCE or, if new, NEWOBJ of a name, and BUILD if there is a state."""

    function: Any
    arguments: tuple[Any, ...]
    state: Any = None
    new: bool = False


class Pickler(pickle._Pickler):
    def save(self, value, save_persistent_id=True):
        if isinstance(value, Name):
            self.save(value.module)
            self.save(value.qualname)
            self.write(pickle.STACK_GLOBAL)
            return
        if not isinstance(value, Call):
            super().save(value, save_persistent_id)
            return
        if id(value) in self.memo:
            self.write(self.get(self.memo[id(value)][0]))
            return
        self.save(value.function)
        self.save(value.arguments)
        self.write(pickle.NEWOBJ if value.new else pickle.REDUCE)
        self.memoize(value)
        if value.state is not None:
            self.save(value.state)
            self.write(pickle.BUILD)


def dumps(value: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file, 4).dump(value)
    return file.getvalue()


PERSISTENT = Name("torch_utils.persistence", "_reconstruct_persistent_obj")
PARAMETER = Name("torch._utils", "_rebuild_parameter")
TENSOR = Name("torch._utils", "_rebuild_tensor_v2")
STREAM = Name("torch.storage", "_load_from_bytes")
DICT = Name("torch.nn.modules.container", "ModuleDict")


def stream(tensor: torch.Tensor) -> bytes:
    """A storage as torch itself writes it."""
    file = io.BytesIO()
    torch.save(tensor._typed_storage(), file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def tensor_of(content: bytes, offset: Any, size: Any, stride: Any) -> Call:
    return Call(TENSOR, (Call(STREAM, (content,)), offset, size, stride, False, OrderedDict()))


def written(tensor: torch.Tensor) -> Call:
    return tensor_of(stream(tensor), tensor.storage_offset(), tuple(tensor.shape), tensor.stride())


def module(class_name: str, state: dict[str, Any], **meta: Any) -> Call:
    source = "raise SystemExit('this source must never run')"
    return Call(
        PERSISTENT,
        ({"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state} | meta,),
    )


def tree(tensors: dict[str, torch.Tensor], classes: dict[str, str], extra: dict[str, Any], path: str = "") -> Call:
    """The module at a path; extra: more of the state of the root."""
    state: dict[str, Any] = {"training": False, "_parameters": OrderedDict(), "_buffers": OrderedDict()}
    state |= {"_non_persistent_buffers_set": set(), "_modules": OrderedDict(), "_forward_hooks": OrderedDict()}
    state |= {"skip_scale": np.sqrt(0.5), "bias": None}
    for key, tensor in tensors.items():
        head, _, rest = key.removeprefix(path).partition(".")
        if not key.startswith(path):
            continue
        if rest:
            state["_modules"][head] = None
        elif head in BUFFERS:
            state["_buffers"][head] = written(tensor)
        else:
            state["_parameters"][head] = Call(PARAMETER, (written(tensor), True, OrderedDict()))
    for head in state["_modules"]:
        state["_modules"][head] = tree(tensors, classes, {}, f"{path}{head}.")
    state["_parameters"]["none"] = None
    state["_buffers"]["unsaved"] = written(torch.zeros(2))
    state["_non_persistent_buffers_set"].add("unsaved")
    if path in ("model.enc.", "model.dec."):
        return Call(DICT, (), state, new=True)
    return module(classes.get(path, "Conv2d"), state | extra)


def snapshot(
    class_name: str,
    kwargs: dict[str, Any],
    tensors: dict[str, torch.Tensor],
    model_type: str,
    **extra: Any,
) -> bytes:
    """A whole file."""
    extra = {"_init_args": (), "_init_kwargs": kwargs, "sigma_min": np.float64(0.002)} | extra
    ema = tree(tensors, {"": class_name, "model.": model_type}, extra)
    return dumps({"ema": ema, "loss_fn": module("EDMLoss", {"P_mean": -1.2}), "augment_pipe": None})
