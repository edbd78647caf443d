"""The four denoisers around EDM's networks: D(x; s) = c_skip x + c_out F(c_in x, c_noise), with s = sigma.

|                | c_skip            | c_out              | c_in              | c_noise                          |
|:---------------|:------------------|:-------------------|:------------------|:---------------------------------|
| `EDMPrecond`   | d^2 / (s^2 + d^2) | s d / sqrt(s^2+d^2)| 1 / sqrt(s^2+d^2) | ln(s) / 4, with d = sigma_data   |
| `VPPrecond`    | 1                 | -s                 | 1 / sqrt(s^2 + 1) | (M - 1) t(s)                     |
| `VEPrecond`    | 1                 | s                  | 1                 | ln(s / 2)                        |
| `iDDPMPrecond` | 1                 | -s                 | 1 / sqrt(s^2 + 1) | M - 1 - (index of s in table u)  |

t(s) is the time at which the VP schedule of beta_min and beta_d has sigma s. The table u of iDDPM, M + 1 values, is in
the file; s is rounded to its nearest value where the network is told the time, and nowhere else. Its network answers
twice as many channels, of which the second half, the variance, is not used.

Source: Karras et al. 2022 (arXiv 2206.00364), table 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from solverbench.errors import ArtifactError, UsageError, nearest
from solverbench.fields.edm.blocks import Fourier, wide
from solverbench.fields.edm.networks import NETWORKS, options_of, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from solverbench.fields.edm.reader import Snapshot

Coefficients = tuple[float, float, float, float]
"""(c_skip, c_out, c_in, c_noise)"""


def edm(sigma: float, sigma_data: float) -> Coefficients:
    """Those of `EDMPrecond`."""
    total = math.hypot(sigma, sigma_data)
    return (sigma_data / total) ** 2, sigma * sigma_data / total, 1 / total, math.log(sigma) / 4


def vp(sigma: float, beta_d: float, beta_min: float, M: float) -> Coefficients:
    """Those of `VPPrecond`."""
    time = (math.sqrt(beta_min**2 + 2 * beta_d * math.log1p(sigma**2)) - beta_min) / beta_d
    return 1, -sigma, 1 / math.hypot(sigma, 1), (M - 1) * time


def ve(sigma: float) -> Coefficients:
    """Those of `VEPrecond`."""
    return 1, sigma, 1, math.log(sigma / 2)


def iddpm(sigma: float, M: int, u: NDArray[np.float64]) -> Coefficients:
    """Those of `iDDPMPrecond`."""
    return 1, -sigma, 1 / math.hypot(sigma, 1), M - 1 - int(np.argmin(np.abs(u - sigma)))


_DENOISERS: dict[str, tuple[Callable[..., Coefficients], str, dict[str, Any], dict[str, Any]]] = {
    "EDMPrecond": (edm, "DhariwalUNet", {"sigma_data": 0.5}, {"sigma_min": 0, "sigma_max": math.inf}),
    "VPPrecond": (vp, "SongUNet", {"beta_d": 19.9, "beta_min": 0.1, "M": 1000}, {"epsilon_t": 1e-5}),
    "VEPrecond": (ve, "SongUNet", {}, {"sigma_min": 0.02, "sigma_max": 100}),
    "iDDPMPrecond": (iddpm, "DhariwalUNet", {"M": 1000}, {"C_1": 0.001, "C_2": 0.008}),
}
"""By class name: coefficients, the default network, the constants they take, and arguments that change nothing here."""


class Denoiser(nn.Module):
    """A network as `NetworkField` asks it: (x, t, label) -> D. channels: of x; labels: how many classes there are."""

    def __init__(self, network: nn.Module, coefficients: Callable[[float], Coefficients], channels: int, labels: int):
        super().__init__()
        self.model, self.coefficients, self.channels, self.labels = network, coefficients, channels, labels

    def forward(self, x: Tensor, t: float, label: Tensor | None) -> Tensor:
        """D(x; t), in the dtype of x; x itself at t = 0, the limit. Raises UsageError for a negative t or NaN."""
        if not t >= 0:
            raise UsageError(f"sigma must not be negative, got {t}")
        if t == 0:
            return x.clone()
        skip, out, scale, noise = self.coefficients(t)
        broad = wide(x)
        classes = None
        if self.labels:
            assert label is not None
            classes = one_hot(label, self.labels + 1)[:, : self.labels].to(broad.dtype)
        answer: Tensor = self.model((scale * broad).to(x.dtype), broad.new_full((len(x),), noise), classes)
        return (skip * broad + out * wide(answer[:, : self.channels])).to(x.dtype)


def build(snapshot: Snapshot, dtype: torch.dtype, device: torch.device) -> tuple[Denoiser, tuple[int, int, int]]:
    """The denoiser of a file, loaded, and the shape of its states.

    Embeddings and linear layers keep at least single precision. Raises ArtifactError when the class, the network or an
    argument is not known, and unless the file has exactly the parameters and buffers that they need, by name, shape and
    kind; that is checked before anything is allocated.
    """
    name = snapshot.class_name
    if name not in _DENOISERS:
        raise ArtifactError(f"unknown class {name!r}{nearest(name, _DENOISERS)}")
    function, model_type, defaults, unused = _DENOISERS[name]
    own: dict[str, Any] = {
        "img_resolution": None,
        "img_channels": None,
        "label_dim": 0,
        "use_fp16": False,
        "model_type": model_type,
    }
    own |= unused | defaults
    inner = {key: value for key, value in snapshot.kwargs.items() if key not in own}
    own |= {key: value for key, value in snapshot.kwargs.items() if key in own}
    channels, side = own["img_channels"], own["img_resolution"]
    if not whole(channels, 1, 1 << 12):
        raise ArtifactError(f"{name} cannot have img_channels={channels!r}"[:200])
    doubled = name == "iDDPMPrecond"
    fixed = {"in_channels": channels, "out_channels": channels * (1 + doubled)}
    fixed |= {"img_resolution": side, "label_dim": own["label_dim"]}
    if taken := fixed.keys() & inner.keys():
        raise ArtifactError(f"{name} has no argument {min(taken)!r}")
    options = options_of(own["model_type"], inner | fixed)
    if snapshot.classes.get("model") != own["model_type"]:
        raise ArtifactError(f"its network should be {own['model_type']}, but is {snapshot.classes.get('model')}")

    constants = {key: _constant(key, snapshot.attributes.get(key, own[key])) for key in defaults}
    tensors = dict(snapshot.tensors)
    if doubled:
        table, length = tensors.pop("u", np.empty(0)), constants["M"] + 1
        if table.shape != (length,) or table.dtype.kind != "f":
            raise ArtifactError(f"its table u should have shape ({length},), but has {table.shape}")
        constants["u"] = table.astype(np.float64)
    with torch.device("meta"):
        network = NETWORKS[own["model_type"]](**options)
    _load(network, tensors, dtype, device)
    denoiser = Denoiser(network, partial(function, **constants), channels, own["label_dim"])
    return denoiser.eval().requires_grad_(False), (channels, side, side)


def _constant(name: str, value: Any) -> Any:
    """A constant of a denoiser, checked; the attribute of a file goes before its argument: it is what it uses."""
    number = type(value) is int or (type(value) is float and math.isfinite(value))
    if not number or not 0 < value <= 1e6 or (name == "M" and value != int(value)):
        raise ArtifactError(f"a network cannot have {name}={value!r}"[:200])
    return int(value) if name == "M" else value


def _load(network: nn.Module, tensors: Mapping[str, NDArray[Any]], dtype: torch.dtype, device: torch.device) -> None:
    """Fill a network without values, after everything was compared."""
    wanted = {f"model.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
    for problem, names in (("lacks", wanted.keys() - tensors.keys()), ("has unknown", tensors.keys() - wanted.keys())):
        if names:
            listed = ", ".join(sorted(names)[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            raise ArtifactError(f"its network {problem} tensors: {listed}"[:400])
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise ArtifactError(f"its tensor {name} should have shape {shape}, but has {tensors[name].shape}")
        if tensors[name].dtype.kind != "f":
            raise ArtifactError(f"its tensor {name} should be floating point, but is {tensors[name].dtype}")
    precise = tuple(f"{name}." for name, part in network.named_modules() if isinstance(part, nn.Linear | Fourier))
    values = {}
    for name in network.state_dict():
        kind = torch.promote_types(dtype, torch.float32) if name.startswith(precise) else dtype
        values[name] = torch.from_numpy(tensors[f"model.{name}"].copy()).to(device, kind)
    network.load_state_dict(values, strict=True, assign=True)
