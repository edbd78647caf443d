"""config.json of a UNet2DModel, read strictly: a key or a value that would change the network unseen is an error."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solverbench.errors import ArtifactError, nearest

_DOWN = {"DownBlock2D": False, "AttnDownBlock2D": True}
_UP = {"UpBlock2D": False, "AttnUpBlock2D": True}


@dataclass(frozen=True)
class Layout:
    """What there is to know of a UNet2DModel; the names of config.json where they differ."""

    side: tuple[int, int]
    """sample_size: height and width."""
    channels: int
    """in_channels and out_channels."""
    widths: tuple[int, ...]
    """block_out_channels."""
    layers: int
    """layers_per_block."""
    attend_down: tuple[bool, ...]
    """down_block_types: whether they have attention."""
    attend_up: tuple[bool, ...]
    middle: bool
    """mid_block_type: whether there is one."""
    attend_middle: bool
    """add_attention."""
    middle_scale: float
    middle_groups: int | None
    """Groups of the norm before the attention in the middle; None for no norm."""
    head: int | None
    """attention_head_dim; None for one head of all channels."""
    groups: int
    eps: float
    film: bool
    """resnet_time_scale_shift: scale and shift rather than shift alone."""
    padding: int
    """downsample_padding; 0 pads below and on the right alone."""
    fourier: bool
    """time_embedding_type."""
    embedding: int
    """time_embedding_dim."""
    cosine_first: bool
    """flip_sin_to_cos."""
    frequency_shift: float
    classes: int
    """num_class_embeds, 0 for none."""
    centred: bool
    """center_input_sample."""


def find(folder: Path, name: str, inner: str) -> Path:
    """The file `name` in the folder or in its subfolder `inner`. Raises ArtifactError if it is in neither."""
    for place in (folder / name, folder / inner / name):
        if place.is_file():
            return place
    raise ArtifactError(f"{folder} is no diffusers folder that can be opened: it has neither {name} nor {inner}/{name}")


def read_json(path: Path) -> dict[str, Any]:
    """The table in a JSON file. Raises ArtifactError if it cannot be read or is none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise ArtifactError(f"{path} must hold one JSON object, not {type(found).__name__}")
    return found


class Values:
    """Values of a table by key, each checked when it is taken; ArtifactError names file, key, value and remedy."""

    def __init__(self, path: Path) -> None:
        self.path, self.table = path, read_json(path)

    def wrong(self, key: str, needs: str) -> ArtifactError:
        """The error for a key whose value cannot be: "config.json: layers_per_block=0 is not supported: ..."."""
        return ArtifactError(f"{self.path}: {key}={self.table.get(key)!r} is not supported: it must be {needs}")

    def take(self, key: str, default: Any, accepts: Callable[[Any], bool], needs: str) -> Any:
        value = self.table.get(key, default)
        if not accepts(value):
            raise self.wrong(key, needs)
        return value

    def whole(self, key: str, default: int | None, low: int = 1, high: int = 1 << 14) -> int:
        value: int = self.take(key, default, lambda v: _whole(v, low, high), f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, default: float | None, accepts: Callable[[float], bool], needs: str) -> float:
        return float(self.take(key, default, lambda v: _number(v) and accepts(v), needs))

    def flag(self, key: str, default: bool) -> bool:
        value: bool = self.take(key, default, lambda v: isinstance(v, bool), "true or false")
        return value

    def one_of(self, key: str, default: Any, known: tuple[Any, ...]) -> Any:
        needs = " or ".join(json.dumps(k) for k in known)
        return self.take(key, default, lambda v: isinstance(v, str | None) and v in known, needs)

    def or_none(self, key: str, default: int | None) -> int | None:
        return None if self.table.get(key, default) is None else self.whole(key, default)


def read_layout(path: Path) -> Layout:
    """The layout in a config.json; missing keys have the library's defaults. Raises ArtifactError."""
    values = Values(path)
    values.one_of("_class_name", None, ("UNet2DModel",))
    for key in values.table:
        if key not in _KEYS and not key.startswith("_"):
            raise ArtifactError(f"{path}: {key}={values.table[key]!r} is not known{nearest(key, _KEYS)}")
    widths = _widths(values)
    levels = len(widths)
    groups = values.whole("norm_num_groups", 32)
    film = values.one_of("resnet_time_scale_shift", "default", ("default", "scale_shift")) == "scale_shift"
    middle_groups = values.or_none("attn_norm_num_groups", None) or (None if film else groups)
    if any(width % groups for width in widths):
        raise values.wrong("norm_num_groups", f"a divisor of block_out_channels={list(widths)}")
    if widths[-1] % (middle_groups or 1):
        raise values.wrong("attn_norm_num_groups", f"a divisor of the last of block_out_channels, {widths[-1]}")
    head = values.or_none("attention_head_dim", 8)
    attend_down = _stages(values, "down_block_types", "DownBlock2D", _DOWN, levels)
    attend_up = _stages(values, "up_block_types", "UpBlock2D", _UP, levels)
    middle = values.one_of("mid_block_type", "UNetMidBlock2D", ("UNetMidBlock2D", None)) is not None
    attend_middle = values.flag("add_attention", True)
    attending = [w for w, a in zip(widths, attend_down, strict=True) if a]
    attending += [w for w, a in zip(widths, reversed(attend_up), strict=True) if a]
    attending += [widths[-1]] if middle and attend_middle else []
    if head is not None and any(width % head for width in attending):
        raise values.wrong("attention_head_dim", f"a divisor of the channels with attention, {sorted(set(attending))}")
    values.take("dropout", 0.0, _number, "a number")
    for key, default, known in _ONLY:
        values.one_of(key, default, known)
    channels = values.whole("in_channels", 3)
    if values.whole("out_channels", 3) != channels:
        raise values.wrong("out_channels", f"in_channels={channels}, since a field answers in the shape of its states")
    shift = values.number("freq_shift", 0, lambda v: v < widths[0] // 2, f"less than {widths[0] // 2}")
    return Layout(
        side=_side(values, levels),
        channels=channels,
        widths=widths,
        layers=values.whole("layers_per_block", 2, high=32),
        attend_down=attend_down,
        attend_up=attend_up,
        middle=middle,
        attend_middle=attend_middle,
        middle_scale=values.number("mid_block_scale_factor", 1, lambda v: v > 0, "a positive number"),
        middle_groups=middle_groups,
        head=head,
        groups=groups,
        eps=values.number("norm_eps", 1e-5, lambda v: v > 0, "a positive number"),
        film=film,
        padding=values.whole("downsample_padding", 1, low=0, high=1),
        fourier=values.one_of("time_embedding_type", "positional", ("positional", "fourier")) == "fourier",
        embedding=values.or_none("time_embedding_dim", None) or 4 * widths[0],
        cosine_first=values.flag("flip_sin_to_cos", True),
        frequency_shift=shift,
        classes=values.or_none("num_class_embeds", None) or 0,
        centred=values.flag("center_input_sample", False),
    )


_ONLY: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
    ("downsample_type", "conv", ("conv",)),
    ("upsample_type", "conv", ("conv",)),
    ("act_fn", "silu", ("silu", "swish")),
    ("class_embed_type", None, (None,)),
)
_KEYS = {
    "act_fn", "add_attention", "attention_head_dim", "attn_norm_num_groups", "block_out_channels",
    "center_input_sample", "class_embed_type", "down_block_types", "downsample_padding", "downsample_type", "dropout",
    "flip_sin_to_cos", "freq_shift", "in_channels", "layers_per_block", "mid_block_scale_factor", "mid_block_type",
    "norm_eps", "norm_num_groups", "num_class_embeds", "num_train_timesteps", "out_channels",
    "resnet_time_scale_shift", "sample_size", "time_embedding_dim", "time_embedding_type", "up_block_types",
    "upsample_type",
}  # fmt: skip


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _widths(values: Values) -> tuple[int, ...]:
    def accepts(found: Any) -> bool:
        return isinstance(found, list | tuple) and 1 <= len(found) <= 12 and all(_whole(w, 2, 1 << 14) for w in found)

    needs = "a list of 1 to 12 whole numbers from 2 to 16384"
    return tuple(values.take("block_out_channels", (224, 448, 672, 896), accepts, needs))


def _stages(values: Values, key: str, plain: str, known: dict[str, bool], levels: int) -> tuple[bool, ...]:
    """Which stages have attention. The library's default is attention at every resolution but the first."""
    attending = f"Attn{plain}"
    usual = [plain, *[attending] * 3] if known is _DOWN else [*[attending] * 3, plain]
    names = values.table.get(key, usual)
    if not isinstance(names, list) or len(names) != levels or not all(isinstance(n, str) and n in known for n in names):
        raise values.wrong(key, f"a list of {' or '.join(known)}, one for each of {levels} block_out_channels")
    return tuple(known[name] for name in names)


def _side(values: Values, levels: int) -> tuple[int, int]:
    unit = 2 ** (levels - 1)

    def accepts(found: Any) -> bool:
        return _whole(found, 1, 1 << 14) and found % unit == 0

    def both(found: Any) -> bool:
        return accepts(found) or (isinstance(found, list) and len(found) == 2 and all(map(accepts, found)))

    side = values.take("sample_size", None, both, f"a multiple of {unit}, or [height, width] of such")
    return (side, side) if isinstance(side, int) else (side[0], side[1])
