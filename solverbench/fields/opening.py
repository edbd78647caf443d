"""Fields that do not ship: the user's own program, a spectrum, and networks in files of several kinds.

    file.py:function           the user's own program, executed as such; see `_program`
    power-law                  a Gaussian whose eigenvalues fall as those of pictures do; see `power_law`
    file.npy, file.npz         eigenvalues of a Gaussian; see `_spectrum`
    folder                     a UNet2DModel as the diffusers library stores it (`diffusers.open_diffusers`)
    file.safetensors           a network trained with this package (`trained.open_trained`)
    file.pkl                   a network-snapshot of EDM, read without executing it (`edm.open_edm`)
    https://...#sha256=<hex>   any of these files, downloaded once and verified; never a program

A function in a program is one without arguments that returns a field, or is a field itself: a callable (x, t) with
attributes path, shape and prediction.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import urldefrag, urlsplit

import numpy as np

from solverbench import paths
from solverbench.errors import ArtifactError, SolverbenchError, UsageError, in_words, nearest
from solverbench.fields.base import Field, Vector, check_prediction, check_shape
from solverbench.fields.network import TYPES
from solverbench.programs import run_file, sources

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from solverbench.fields.gaussian import Gaussian
    from solverbench.fields.network import NetworkField

KINDS = "file.py:function, .npy, .npz, .safetensors, .pkl of EDM, a folder of diffusers, or https://...#sha256=..."
"""What `open_field` takes, for messages."""
_SPECTRA = (".npy", ".npz")
_NETWORKS = {".safetensors": ("trained", "open_trained"), ".pkl": ("edm", "open_edm")}
"""Module and function that open a network, by the file's ending."""
_FOLDER = ("diffusers", "open_diffusers")
_OPTIONS = ("label", "guidance", "dtype", "device")


def open_field(spec: str, path: str | paths.Path | None = None, **options: Any) -> Field:
    """The field that `spec` stands for, one of the kinds above.

    path: of a spectrum, "edm" by default; everything else has its own. options: label, guidance, dtype and device, of
    networks only. Raises UsageError for what is none of these kinds, is missing, or does not take an option that is
    given, and ArtifactError for a file that is damaged.
    """
    if unknown := options.keys() - set(_OPTIONS):
        raise UsageError(f"{spec} has no option {min(unknown)!r}{nearest(min(unknown), _OPTIONS)}")
    dtype = options.get("dtype")
    if isinstance(dtype, str) and dtype not in TYPES:
        raise UsageError(f"{spec}: dtype {dtype!r} is no type of a network{nearest(dtype, TYPES)}")
    if "://" in spec:
        return _remote(spec, path, options)
    if spec.endswith(".py") or ".py:" in spec:
        return _program(spec, path, options)
    if spec == "power-law":
        _check_options(".npy", spec, path, options)
        return power_law(path or "edm")
    place = Path(spec).expanduser()
    if not spec or (not place.is_dir() and place.suffix.lower() not in (*_SPECTRA, *_NETWORKS)):
        from solverbench import pretrained

        raise UsageError(f"unknown field {spec!r}{nearest(spec, [*pretrained.names(), 'power-law'])}, or give {KINDS}")
    if not place.exists():
        raise UsageError(f"no such field file: {place}")
    ending = "" if place.is_dir() else place.suffix.lower()
    _check_options(ending, spec, path, options)
    return _file(place, ending, path, options)


def _file(place: Path, ending: str, path: str | paths.Path | None, options: dict[str, Any]) -> Field:
    """Open a file that exists; a folder has no ending. What opens it is imported only now."""
    if ending in _SPECTRA:
        return _spectrum(place, path or "edm")
    module, function = _NETWORKS.get(ending, _FOLDER)
    field: NetworkField = getattr(importlib.import_module(f"solverbench.fields.{module}"), function)(place, **options)
    return field


def _check_options(ending: str, spec: str, path: str | paths.Path | None, options: dict[str, Any]) -> None:
    if ending in _SPECTRA and options:
        raise UsageError(f"{spec} has no option {next(iter(options))!r}: it is no network")
    if ending not in _SPECTRA and path is not None:
        raise UsageError(f"{spec} has its own path and takes no other, but path={path} was asked for")


def local_files(spec: str) -> tuple[str, tuple[Path, ...]] | None:
    """(the part of `spec` that is a path on this machine, every file it needs), or None where it is no file of here.

    A program brings the modules beside it that it imports, a trained network its card, a flow map its teacher's files.
    """
    from solverbench import pretrained

    if "://" in spec or spec in (*pretrained.names(), "power-law"):
        return None
    file, _, _ = spec.partition(".py:")
    named = f"{file}.py" if ".py:" in spec else spec
    place = Path(named).expanduser()
    if place.is_dir():
        return named, tuple(sorted(path for path in place.rglob("*") if path.is_file()))
    if place.suffix == ".py":
        return named, sources(place)
    found = [place]
    if place.suffix.lower() == ".safetensors":
        found.append(place.with_suffix(".json"))
        if isinstance(teacher := pretrained.read_card(place).get("teacher"), dict):
            beside = place.with_name(Path(str(teacher.get("name"))).name)
            found += [beside.with_name(f"{beside.name}{ending}") for ending in (".safetensors", ".json")]
    return named, tuple(found)


# --- a file from the network ------------------------------------------------------------------------------------------


def _remote(spec: str, path: str | paths.Path | None, options: dict[str, Any]) -> Field:
    """Download and open; everything that can be refused is, before the network is used."""
    try:
        url, fragment = urldefrag(spec)
        address = urlsplit(url)
    except ValueError as error:
        raise UsageError(f"{spec} is no address: {error}") from None
    if address.scheme != "https":
        raise UsageError(f"{spec}: fields are downloaded over https only; download it yourself and give the file")
    checksum = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", fragment)
    if not checksum:
        raise UsageError(
            f"{spec} has no checksum: append #sha256= and the 64 hexadecimal digits that its author states"
        )
    ending = Path(address.path).suffix.lower()
    if ending == ".py":
        raise UsageError(f"{spec}: a program is not run from the network; download it, read it, and give the file")
    if ending not in (*_SPECTRA, *_NETWORKS):
        known = ", ".join((*_SPECTRA, *_NETWORKS))
        raise UsageError(f"{spec}: a field that is downloaded must end in one of {known}, not {ending!r}")
    _check_options(ending, spec, path, options)
    from solverbench import artifacts

    return _file(artifacts.download(url, checksum[1].lower()), ending, path, options)


# --- a spectrum -------------------------------------------------------------------------------------------------------


def power_law(path: str | paths.Path, d: int = 3072) -> Gaussian:
    """N(0, diag(lambda)) with lambda_k = 202.1 k^-1.227 e^(-k/555.1), k = 1..d, in eigen-coordinates (d,).

    A fit to the covariance of CIFAR-10's pictures with pixels in [-1, 1]: their spectrum without their data.
    """
    from solverbench.fields.gaussian import Gaussian

    k = np.arange(1.0, d + 1)
    return Gaussian(np.zeros(d), 202.1 * k**-1.227 * np.exp(-k / 555.1), path)


def _spectrum(file: Path, path: str | paths.Path) -> Gaussian:
    """The Gaussian whose eigenvalues the file holds, in its eigen-coordinates: states (d,).

    A .npy file holds them alone. In a .npz file they are the array called variance or eigenvalues, or the only one; an
    array called mean is the mean in eigen-coordinates, zero without it. Each is of one dimension and floating point.
    """
    from solverbench.fields.gaussian import Gaussian

    try:
        with file.open("rb") as stream:
            found = np.load(stream, allow_pickle=False)  # objects are refused, never unpickled
            if isinstance(found, np.ndarray):
                variance, mean = _vector(file, "the array", found), None
            else:
                variance = _vector(file, name := _variance(file, found.files), found[name])
                mean = _vector(file, "mean", found["mean"]) if "mean" in found.files else None
    except SolverbenchError:
        raise
    except Exception as error:  # numpy and zipfile answer damage with errors of a dozen kinds
        if "Object arrays" in str(error):
            raise UsageError(f"{file} holds objects, not numbers: save the eigenvalues as floats") from None
        reason = "no array is in it" if "allow_pickle" in str(error) else in_words(error)
        raise ArtifactError(f"{file} is damaged, or not what its ending says ({reason})") from error
    try:
        return Gaussian(np.zeros_like(variance) if mean is None else mean, variance, path)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def _variance(file: Path, names: list[str]) -> str:
    """Which array of a .npz file has the eigenvalues."""
    known = [name for name in names if name in ("variance", "eigenvalues")]
    others = [name for name in names if name != "mean"]
    if len(known or others) != 1:
        has = ", ".join(sorted(names)) or "none"
        raise UsageError(f"{file}: one array must be called variance or eigenvalues, or be the only one; it has {has}")
    return (known or others)[0]


def _vector(file: Path, name: str, array: NDArray[Any]) -> Vector:
    if not isinstance(array, np.ndarray):  # numpy hands out what is no array in a zip file as bytes
        raise ArtifactError(f"{file}: {name} is no array of numpy")
    if array.dtype.kind != "f":
        raise UsageError(f"{file}: {name} must be floating point, got {array.dtype}: save it with .astype(float)")
    if array.ndim != 1 or not array.size:
        raise UsageError(f"{file}: {name} must be one-dimensional and not empty, got shape {array.shape}")
    return array.astype(np.float64)


# --- the user's own program -------------------------------------------------------------------------------------------


def _program(spec: str, path: str | paths.Path | None, options: dict[str, Any]) -> Field:
    """The field in `file.py:name`; without a name the one called field, or the only field the file defines.

    It is a field, or a function without arguments that returns one. Any object with path, prediction, shape and
    __call__(x, t) is used as it is and must take numpy arrays and torch tensors alike. A torch module or a bare
    function is asked through `NetworkField`: x is a tensor (n, *shape), t a float, options are those of `NetworkField`.
    """
    _check_options(".py", spec, path, {})
    file, _, name = spec.partition(".py:")
    place = Path(file if file.endswith(".py") else f"{file}.py").expanduser().resolve()
    module = _executed(place)
    name = name or _only(module, place)
    if not hasattr(module, name):
        known = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UsageError(f"{place.name} has no {name!r}{nearest(name, known)}")
    found = getattr(module, name)
    if not _is_field(found):
        if not callable(found):
            raise UsageError(f"{place.name}: {name} is {_kind(found)}, neither a field nor a function that returns one")
        if not _takes_nothing(found):
            raise UsageError(
                f"{place.name}: {name} takes arguments: a function without any must return the field, or {name} must "
                f"have the attributes path, shape and prediction of a field that is called as (x, t)"
            )
        try:
            found = found()
        except SolverbenchError as error:
            raise UsageError(f"{place.name}: {name}(): {error}") from error
        except (Exception, SystemExit) as error:
            raise UsageError(f"{place.name}: {name}() must return a field, but raised {in_words(error)}") from error
        if not _is_field(found):
            raise UsageError(
                f"{place.name}: {name}() returned {_kind(found)}, which is no field: a callable (x, t) with attributes "
                f"path, shape and prediction"
            )
    try:
        return _as_field(found, options)
    except UsageError as error:
        raise UsageError(f"{place.name}: {name}: {error}") from error


def _executed(place: Path) -> ModuleType:
    """The file as a module, run afresh unless it has been run for its solvers."""
    if not place.is_file():
        raise UsageError(f"no such field file: {place}")
    loaded = sys.modules.get(f"solverbench_user_{place.stem}")
    if loaded is not None and loaded.__file__ == str(place):
        return loaded
    return run_file(place, f"solverbench_field_{place.stem}")


def _only(module: ModuleType, place: Path) -> str:
    """The name of the field in a file that was given without one."""
    if hasattr(module, "field"):
        return "field"
    names = [name for name, value in vars(module).items() if not name.startswith("_") and _is_field(value)]
    if len(names) == 1:
        return names[0]
    has = f"it defines {' and '.join(names)}" if names else "it defines nothing called field, and no field"
    raise UsageError(f"{place.name}: say which field, {place.name}:name; {has}")


def _is_field(value: Any) -> bool:
    return isinstance(value, Field) and not isinstance(value, type)


def _takes_nothing(function: Any) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # of some functions written in C nothing is known
        pass
    return True


def _as_field(found: Any, options: dict[str, Any]) -> Field:
    """`found` itself, or a `NetworkField` that asks it, its attributes checked."""
    torch = sys.modules.get("torch")  # whoever made a module has imported it
    is_module = torch is not None and isinstance(found, torch.nn.Module)
    shape = check_shape(found.shape)
    check_prediction(found.prediction)
    if not isinstance(found.path, str | paths.Path):
        raise UsageError(f"path must be a path or its name, got {found.path!r}")
    if is_module or isinstance(found, FunctionType):
        from solverbench.fields.network import NetworkField

        field = NetworkField(lambda x, t, _: found(x, t), found.path, shape, prediction=found.prediction, **options)
        if is_module:
            found.to(field.device, field.dtype).eval()
        return field
    if options:
        raise UsageError(f"option {next(iter(options))!r} is for networks, and it keeps its own")
    if isinstance(found.path, str):
        raise UsageError(f"path must be a path, not a name: solverbench.path({found.path!r})")
    field_itself: Field = found
    return field_itself


def _kind(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
