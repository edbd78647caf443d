"""The two networks of EDM, rebuilt: `SongUNet` (DDPM++ and NCSN++) and `DhariwalUNet` (ADM).

A network takes x (n, in_channels, h, w), noise (n,), the value that stands for the time, and one-hot labels (n,
label_dim) or None, and answers (n, out_channels, h, w). Names of parameters and buffers are those in EDM's files, those
of arguments the ones its files construct networks with; `dropout`, `label_dropout` and augmentation are for training
only. Arguments are checked by `options_of` before a network is built.

Source: as in `blocks`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from solverbench.errors import ArtifactError, nearest
from solverbench.fields.edm.blocks import Conv, Fourier, Positional, UNetBlock, norm


class SongUNet(nn.Module):
    """DDPM++ (positional, standard) and NCSN++ (fourier, residual or skip), with one head of attention."""

    def __init__(
        self,
        img_resolution: int,
        in_channels: int,
        out_channels: int,
        label_dim: int = 0,
        augment_dim: int = 0,
        model_channels: int = 128,
        channel_mult: Sequence[int] = (1, 2, 2, 2),
        channel_mult_emb: int = 4,
        num_blocks: int = 4,
        attn_resolutions: Sequence[int] = (16,),
        dropout: float = 0.1,
        label_dropout: float = 0,
        embedding_type: str = "positional",
        channel_mult_noise: int = 1,
        encoder_type: str = "standard",
        decoder_type: str = "standard",
        resample_filter: Sequence[float] = (1, 1),
    ) -> None:
        super().__init__()
        embedded, noisy = model_channels * channel_mult_emb, model_channels * channel_mult_noise
        fourier = embedding_type == "fourier"
        self.map_noise = Fourier(noisy) if fourier else Positional(noisy, reaches=True)
        self.map_label = nn.Linear(label_dim, noisy) if label_dim else None
        self.map_augment = nn.Linear(augment_dim, noisy, bias=False) if augment_dim else None
        self.map_layer0 = nn.Linear(noisy, embedded)
        self.map_layer1 = nn.Linear(embedded, embedded)

        def block(inputs: int, outputs: int, *, attend: bool = False, **resampled: bool) -> UNetBlock:
            return UNetBlock(
                inputs,
                outputs,
                embedded,
                heads=int(attend),
                adaptive=False,
                project=True,
                scale=math.sqrt(0.5),
                eps=1e-6,
                taps=resample_filter,
                **resampled,
            )

        widths = [model_channels * factor for factor in channel_mult]
        sides = [img_resolution >> level for level in range(len(widths))]
        self.enc = nn.ModuleDict()
        width, aside = in_channels, in_channels
        kept: list[int] = []
        for level, (side, wider) in enumerate(zip(sides, widths, strict=True)):
            name = f"{side}x{side}"
            if level == 0:
                self.enc[f"{name}_conv"] = Conv(width, model_channels, 3)
                width = model_channels
            else:
                self.enc[f"{name}_down"] = block(width, width, down=True)
                if encoder_type == "skip":
                    self.enc[f"{name}_aux_down"] = Conv(aside, aside, 0, down=True, taps=resample_filter)
                    self.enc[f"{name}_aux_skip"] = Conv(aside, width, 1)
                if encoder_type == "residual":
                    self.enc[f"{name}_aux_residual"] = Conv(
                        aside, width, 3, down=True, fused=True, taps=resample_filter
                    )
                    aside = width
            kept.append(width)
            for index in range(num_blocks):
                self.enc[f"{name}_block{index}"] = block(width, wider, attend=side in attn_resolutions)
                width = wider
                kept.append(width)

        self.dec = nn.ModuleDict()
        for level, side in reversed(list(enumerate(sides))):
            name, lowest = f"{side}x{side}", level == len(sides) - 1
            if lowest:
                self.dec[f"{name}_in0"] = block(width, width, attend=True)
                self.dec[f"{name}_in1"] = block(width, width)
            else:
                self.dec[f"{name}_up"] = block(width, width, up=True)
            for index in range(num_blocks + 1):
                attend = index == num_blocks and side in attn_resolutions
                self.dec[f"{name}_block{index}"] = block(width + kept.pop(), widths[level], attend=attend)
                width = widths[level]
            if decoder_type == "skip" or level == 0:
                if decoder_type == "skip" and not lowest:
                    self.dec[f"{name}_aux_up"] = Conv(out_channels, out_channels, 0, up=True, taps=resample_filter)
                self.dec[f"{name}_aux_norm"] = norm(width, 1e-6)
                self.dec[f"{name}_aux_conv"] = Conv(width, out_channels, 3)

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        embedding = self.map_noise(noise).unflatten(1, (2, -1)).flip(1).flatten(1)  # sines first
        if self.map_label is not None and labels is not None:
            embedding = embedding + self.map_label(labels * math.sqrt(self.map_label.in_features))
        embedding = silu(self.map_layer1(silu(self.map_layer0(embedding))))

        aside = x
        kept: list[Tensor] = []
        for name, part in self.enc.items():
            if name.endswith("aux_down"):
                aside = part(aside)
            elif name.endswith("aux_skip"):
                x = kept[-1] = x + part(aside)
            elif name.endswith("aux_residual"):
                x = kept[-1] = aside = (x + part(aside)) * math.sqrt(0.5)
            else:
                x = part(x, embedding) if isinstance(part, UNetBlock) else part(x)
                kept.append(x)

        answer: Tensor | None = None
        normal = x
        for name, part in self.dec.items():
            if name.endswith("aux_up"):
                answer = part(answer)
            elif name.endswith("aux_norm"):
                normal = silu(part(x))
            elif name.endswith("aux_conv"):
                answer = part(normal) if answer is None else answer + part(normal)
            else:
                x = part(torch.cat([x, kept.pop()], 1) if "_block" in name else x, embedding)
        assert answer is not None
        return answer


class DhariwalUNet(nn.Module):
    """ADM: the embedding scales and shifts, a head of attention for every 64 channels."""

    def __init__(
        self,
        img_resolution: int,
        in_channels: int,
        out_channels: int,
        label_dim: int = 0,
        augment_dim: int = 0,
        model_channels: int = 192,
        channel_mult: Sequence[int] = (1, 2, 3, 4),
        channel_mult_emb: int = 4,
        num_blocks: int = 3,
        attn_resolutions: Sequence[int] = (32, 16, 8),
        dropout: float = 0.1,
        label_dropout: float = 0,
    ) -> None:
        super().__init__()
        embedded = model_channels * channel_mult_emb
        self.map_noise = Positional(model_channels, reaches=False)
        self.map_augment = nn.Linear(augment_dim, model_channels, bias=False) if augment_dim else None
        self.map_layer0 = nn.Linear(model_channels, embedded)
        self.map_layer1 = nn.Linear(embedded, embedded)
        self.map_label = nn.Linear(label_dim, embedded, bias=False) if label_dim else None

        def block(inputs: int, outputs: int, *, attend: bool = False, **resampled: bool) -> UNetBlock:
            return UNetBlock(
                inputs,
                outputs,
                embedded,
                heads=outputs // 64 if attend else 0,
                adaptive=True,
                project=False,
                scale=1,
                eps=1e-5,
                taps=(1, 1),
                **resampled,
            )

        widths = [model_channels * factor for factor in channel_mult]
        sides = [img_resolution >> level for level in range(len(widths))]
        self.enc = nn.ModuleDict()
        width = in_channels
        kept: list[int] = []
        for level, (side, wider) in enumerate(zip(sides, widths, strict=True)):
            name = f"{side}x{side}"
            if level == 0:
                self.enc[f"{name}_conv"] = Conv(width, wider, 3)
                width = wider
            else:
                self.enc[f"{name}_down"] = block(width, width, down=True)
            kept.append(width)
            for index in range(num_blocks):
                self.enc[f"{name}_block{index}"] = block(width, wider, attend=side in attn_resolutions)
                width = wider
                kept.append(width)

        self.dec = nn.ModuleDict()
        for level, side in reversed(list(enumerate(sides))):
            name = f"{side}x{side}"
            if level == len(sides) - 1:
                self.dec[f"{name}_in0"] = block(width, width, attend=True)
                self.dec[f"{name}_in1"] = block(width, width)
            else:
                self.dec[f"{name}_up"] = block(width, width, up=True)
            for index in range(num_blocks + 1):
                attend = side in attn_resolutions
                self.dec[f"{name}_block{index}"] = block(width + kept.pop(), widths[level], attend=attend)
                width = widths[level]
        self.out_norm = norm(width, 1e-5)
        self.out_conv = Conv(width, out_channels, 3)

    def forward(self, x: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        embedding = self.map_layer1(silu(self.map_layer0(self.map_noise(noise))))
        if self.map_label is not None and labels is not None:
            embedding = embedding + self.map_label(labels)
        embedding = silu(embedding)

        kept: list[Tensor] = []
        for part in self.enc.values():
            x = part(x, embedding) if isinstance(part, UNetBlock) else part(x)
            kept.append(x)
        for name, part in self.dec.items():
            x = part(torch.cat([x, kept.pop()], 1) if "_block" in name else x, embedding)
        answer: Tensor = self.out_conv(silu(self.out_norm(x)))
        return answer


NETWORKS: dict[str, type[SongUNet] | type[DhariwalUNet]] = {"SongUNet": SongUNet, "DhariwalUNet": DhariwalUNet}

_WHOLE = {
    "img_resolution": (1, 1 << 12),
    "in_channels": (1, 1 << 12),
    "out_channels": (1, 1 << 13),
    "label_dim": (0, 1 << 17),
    "augment_dim": (0, 1 << 12),
    "model_channels": (4, 1 << 13),
    "channel_mult_emb": (1, 64),
    "channel_mult_noise": (1, 64),
    "num_blocks": (1, 64),
}
"""Least and greatest value of arguments that are whole numbers."""
_CHOICES = {
    "embedding_type": ("positional", "fourier"),
    "encoder_type": ("standard", "skip", "residual"),
    "decoder_type": ("standard", "skip"),
}
_LEVELS = 10


def options_of(model_type: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a network, checked: those given, and the defaults of the others.

    Raises ArtifactError for a network that is not known, for arguments it has not or lacks, and for values that cannot
    be or are larger than any network in use has.
    """
    if not isinstance(model_type, str) or model_type not in NETWORKS:
        raise ArtifactError(f"unknown network {model_type!r}{nearest(str(model_type), NETWORKS)}")
    known = {k: p.default for k, p in inspect.signature(NETWORKS[model_type]).parameters.items()}
    if unknown := given.keys() - known.keys():
        raise ArtifactError(f"{model_type} has no argument {min(unknown)!r}{nearest(min(unknown), known)}")
    options = known | dict(given)
    if missing := [name for name, value in options.items() if value is inspect.Parameter.empty]:
        raise ArtifactError(f"{model_type} needs the argument {missing[0]!r}")
    for name, value in options.items():
        if not _possible(name, value):
            raise ArtifactError(f"{model_type} cannot have {name}={value!r}"[:200])
    resolution, levels = options["img_resolution"], len(options["channel_mult"])
    if resolution % (1 << (levels - 1)):
        raise ArtifactError(f"{model_type} cannot halve the resolution {resolution} {levels - 1} times")
    return options


def _possible(name: str, value: Any) -> bool:
    if name in _WHOLE:
        return whole(value, *_WHOLE[name])
    if name in _CHOICES:
        return value in _CHOICES[name]
    if name in ("dropout", "label_dropout"):
        return type(value) in (int, float) and 0 <= value <= 1
    if not isinstance(value, list | tuple):
        return False
    if name == "attn_resolutions":
        return len(value) <= 64 and all(whole(part, 0, 1 << 12) for part in value)
    if name == "channel_mult":
        return 1 <= len(value) <= _LEVELS and all(whole(part, 1, 64) for part in value)
    return 1 <= len(value) <= 16 and all(type(part) in (int, float) for part in value)  # resample_filter


def whole(value: object, least: int, greatest: int) -> bool:
    """Whether the value is a whole number from `least` to `greatest`."""
    return type(value) is int and least <= value <= greatest
