"""A trained network as a field: torch inside, arrays of any kind outside.

A network is any callable `network(x, t, label)` on torch tensors: x (n, *shape), t a float, a time of the path, and
label (n,) of int64 or None for a network without classes, where `labels` itself, one past the last class, means
"unconditional". It answers with the field's prediction, (n, *shape).

Guidance of scale w (Ho & Salimans 2022, arXiv 2207.12598, in the form of Karras et al. 2022) is the extrapolation
u + w (c - u) of the unconditional and the conditional prediction u and c; it holds for every prediction alike, since
all are affine in D. It costs two evaluations, and `evaluations` says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from solverbench.errors import UsageError
from solverbench.fields.base import Array, check_prediction, check_shape, check_states
from solverbench.paths import Path
from solverbench.paths import path as find_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from solverbench.numbers import Number
    from solverbench.predictions import Prediction

Network = Callable[..., Any]
TYPES = ("float32", "float64", "bfloat16", "float16")
"""Number types a network in a file can be asked in, by name."""
CHUNK = 64
"""Samples per call of the network: larger ones gain nothing on a processor and cost memory."""


def type_of(dtype: Any) -> Any:
    """A type of torch that a network computes in, by name or as it is. Raises UsageError for any other."""
    import torch

    name = str(dtype).removeprefix("torch.")
    if name not in TYPES:
        raise UsageError(f"a network computes in {', '.join(TYPES)}, not in {dtype}")
    return getattr(torch, name)


class NetworkField:
    """A `Field` that asks a network.

    path: a Path or its name. shape: of one state. prediction: what the network answers. labels: how many classes it
    knows, 0 for none. label: the class to sample, None for unconditional. guidance: scale w, which needs a label; 1 is
    the conditional prediction itself. dtype: the network's, by name or as torch has it; states of other types are
    converted and the answer converted back. device: the network's. takes_times: whether the network takes a tensor of
    times (n,) as well as a float.

    Raises UsageError for a shape without numbers, and for a label, guidance, dtype or device the network cannot have;
    its calls do for states or answers of a wrong shape. Numbers that are not finite pass: they are a result.
    """

    def __init__(
        self,
        network: Network,
        path: str | Path,
        shape: tuple[int, ...],
        *,
        prediction: Prediction = "x0",
        labels: int = 0,
        label: int | None = None,
        guidance: float | None = None,
        dtype: Any = "float32",
        device: Any = "cpu",
        takes_times: bool = False,
    ) -> None:
        import torch

        if label is not None and (isinstance(label, bool) or not 0 <= label < labels):
            known = f"0 to {labels - 1}" if labels else "none: this network has no classes"
            raise UsageError(f"label {label} is not one of the network's classes ({known})")
        if guidance is not None and label is None:
            raise UsageError(f"guidance {guidance} needs a label to guide towards")
        if guidance is not None and not math.isfinite(guidance):
            raise UsageError(f"guidance must be a finite number, got {guidance}")
        self.network, self.path, self.shape = network, find_path(path), check_shape(shape)
        self.prediction = check_prediction(prediction)
        self.labels, self.label = labels, label
        self.guidance = 1.0 if guidance is None else float(guidance)
        self.dtype = type_of(dtype)
        try:
            self.device = torch.device(device)
        except RuntimeError:
            raise UsageError(f"unknown device {device!r}: torch calls them cpu, cuda, cuda:1, mps") from None
        self.takes_times = takes_times

    def __repr__(self) -> str:
        condition = "" if self.label is None else f", label={self.label}, guidance={self.guidance:g}"
        return f"NetworkField(shape={self.shape}, path={self.path}, prediction={self.prediction!r}{condition})"

    @property
    def evaluations(self) -> int:
        """Evaluations of the network that one call costs."""
        return 2 if self.label is not None and self.guidance != 1 else 1

    def __call__(self, x: Array, t: Number) -> Array:
        """The prediction for states x (n, *shape) at time t, in the kind, dtype and device of x.

        t: one time, or one per sample (n,) if the network `takes_times`.
        """
        if np.ndim(t) == 0:
            return self._over_chunks(x, lambda part: self._answer(part, float(t)))
        import torch

        times = iter(torch.from_numpy(np.array(t)).to(self.device, self.dtype).split(CHUNK))
        return self._over_chunks(x, lambda part: self._answer(part, next(times)))

    def _over_chunks(self, x: Array, answer: Callable[[Any], Any]) -> Array:
        """What `answer` gives for torch states of the network's type, chunk by chunk, in the kind of x."""
        import torch

        check_states(x, self.shape)
        states = torch.as_tensor(x).to(self.device, self.dtype)
        # a GPU's convolutions round float32 to TF32, ten bits of mantissa, unless they are told not to
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            parts = [answer(part) for part in states.split(CHUNK)]
            joined = torch.cat(parts) if len(parts) != 1 else parts[0]
        if isinstance(x, torch.Tensor):
            return joined.to(x.device, x.dtype)
        result: NDArray[Any] = joined.cpu().double().numpy().astype(x.dtype, copy=False)
        return result

    def _answer(self, x: Any, t: Any) -> Any:
        conditional = self._ask(x, t, self.label)
        if self.evaluations == 1:
            return conditional
        unconditional = self._ask(x, t, None)
        return unconditional + self.guidance * (conditional - unconditional)

    def _ask(self, x: Any, t: Any, label: int | None) -> Any:
        label = self.labels if label is None else label
        return self._checked(x, self.network(x, t, x.new_full((len(x),), label).long() if self.labels else None))

    @staticmethod
    def _checked(x: Any, answer: Any) -> Any:
        if getattr(answer, "shape", None) != x.shape:
            got = getattr(answer, "shape", type(answer).__name__)
            raise UsageError(f"the network answered states of shape {tuple(x.shape)} with {got}")
        return answer
