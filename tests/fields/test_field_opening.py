"""Fields from files of every kind: what each is opened as, and what is refused before it does harm."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench import fields
from solverbench.errors import ArtifactError, UsageError
from solverbench.fields import Gaussian, NetworkField
from solverbench.fields.base import LinearField
from solverbench.fields.opening import open_field

DIGEST = "0123456789abcdef" * 4
SPECTRUM = np.array([2.0, 0.5, 0.0])


@pytest.fixture
def write(tmp_path):
    """write(text, name): a file."""

    def file(text, name="mine.py"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return file


@pytest.fixture
def spectrum(tmp_path):
    """spectrum(array) or spectrum(name=array, ...): a .npy or .npz file."""

    def file(array=None, **arrays):
        path = tmp_path / ("it.npz" if arrays else "it.npy")
        with path.open("wb") as out:
            np.savez(out, **arrays) if arrays else np.save(out, array)
        return str(path)

    return file


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["cifar", "cifar10-gausian", "weights.pt", "", "no/such/folder", "mine.py.txt"])
def test_what_is_no_field_is_told_what_is(spec):
    with pytest.raises(UsageError, match=r"unknown field .*, or give file\.py:function, \.npy, .*sha256="):
        fields.load(spec)


@pytest.mark.parametrize("spec", ["a.npy", "a.npz", "a.safetensors", "a.py", "a.py:field"])
def test_what_is_missing_is_named(spec):
    with pytest.raises(UsageError, match=r"no such field file: .*a\.\w+"):
        fields.load(spec)


def test_opening_a_spectrum_does_not_import_torch(spectrum):
    code = "import sys, solverbench.fields as f; f.load(sys.argv[1]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, spectrum(SPECTRUM)], check=True)


# --- spectra ----------------------------------------------------------------------------------------------------------


def test_eigenvalues_are_a_gaussian(spectrum):
    field = fields.load(spectrum(SPECTRUM))
    assert isinstance(field, Gaussian)
    assert isinstance(field, LinearField)
    assert (field.shape, field.path.name, field.prediction) == ((3,), "edm", "x0")
    np.testing.assert_array_equal(field.variance, SPECTRUM)
    np.testing.assert_array_equal(field.mean, 0)
    assert fields.load(spectrum(SPECTRUM), "vp-cosine").path.name == "vp-cosine"
    grid = sb.grid("edm", field.path, steps=5)
    assert sb.law(field, "ddim", grid).w2 == pytest.approx(
        sb.law(Gaussian(np.zeros(3), SPECTRUM, "edm"), "ddim", grid).w2
    )


@pytest.mark.parametrize("name", ["variance", "eigenvalues", "arr_0"])
def test_arrays_are_found_by_name(name, spectrum):
    mean = np.arange(3.0)
    for arrays in ({name: SPECTRUM}, {"mean": mean, name: SPECTRUM.astype(np.float32)}):
        field = fields.load(spectrum(**arrays))
        np.testing.assert_array_equal(field.variance, SPECTRUM)
        np.testing.assert_array_equal(field.mean, arrays.get("mean", 0 * mean))


def test_others_are_not_looked_at(spectrum):
    path = spectrum(variance=SPECTRUM, vectors=np.eye(3), names=np.array([{}, {}], dtype=object))
    np.testing.assert_array_equal(fields.load(path).variance, SPECTRUM)


@pytest.mark.parametrize(("array", "message"), [
    (np.array([1.0, -1e-9]), r"it\.npy: variance must not be negative"),
    (np.array([1.0, np.nan]), r"it\.npy: variance must be finite"),
    (np.array([1.0, np.inf]), "must be finite"),
    (np.array([]), r"not empty, got shape \(0,\)"),
    (np.array(1.0), r"got shape \(\)"),
    (np.eye(2), r"one-dimensional .* got shape \(2, 2\)"),
    (np.arange(3), r"floating point, got int64: save it with \.astype\(float\)"),
    (np.array([1 + 1j]), "got complex128"),
    (np.array(["a"]), "got <U1"),
    (np.array([1.0, None]), "holds objects, not numbers"),
])  # fmt: skip
def test_what_is_no_spectrum(array, message, spectrum):
    with pytest.raises(UsageError, match=message):
        fields.load(spectrum(array))
    with pytest.raises(UsageError, match=message.replace("npy", "npz")):
        fields.load(spectrum(variance=array))


@pytest.mark.parametrize(("arrays", "message"), [
    ({"variance": SPECTRUM, "eigenvalues": SPECTRUM}, "it has eigenvalues, variance"),
    ({"a": SPECTRUM, "b": SPECTRUM}, "or be the only one; it has a, b"),
    ({"mean": SPECTRUM}, "it has mean"),
    ({"a": SPECTRUM, "mean": np.zeros(2)}, r"variance must have shape \(2,\), got \(3,\)"),
    ({"a": SPECTRUM, "mean": np.full(3, np.nan)}, "mean must be finite"),
    ({"a": SPECTRUM, "mean": np.zeros(3, int)}, "mean must be floating point"),
])  # fmt: skip
def test_arrays_that_do_not_fit(arrays, message, spectrum):
    with pytest.raises(UsageError, match=message):
        fields.load(spectrum(**arrays))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("it was unpickled",))


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize("content", [
    b"", b"1.0, 2.0", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f8' ", b"PK\x03\x04 no zip",
    pickle.dumps(Bomb()), zipped(variance=b"text"), zipped(),
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,), }" + b" " * 41 + b"\n",
])  # fmt: skip
@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_damaged_files(name, content, write):
    with pytest.raises((ArtifactError, UsageError), match=rf"{name}(:| is damaged)"):
        fields.load(str(write(content, name)))


# --- programs ---------------------------------------------------------------------------------------------------------

HEAD = """
import torch
import solverbench as sb
from solverbench.fields import Gaussian

"""
PROGRAM = (
    HEAD
    + """
def field():
    return Gaussian([1.0, 2.0], [0.5, 0.1], "ve")

def other():
    return sb.fields.Gaussian([0.0], [1.0], "edm")

ready = Gaussian([3.0], [1.0], "edm")

class Own:
    path, shape, prediction = sb.path("vp-linear"), (2,), "noise"
    def __call__(self, x, t):
        return x * t

class Net(torch.nn.Module):
    path, shape, prediction = "edm", (2, 3), "x0"
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.drop = torch.nn.Dropout(0.5)
    def forward(self, x, t):
        return self.drop(self.scale * x / (1 + t * t))

def net():
    return Net()

def bare(x, t):
    return x * t
bare.path, bare.shape, bare.prediction = "edm", (2,), "x0"
"""
)


@pytest.mark.parametrize(("name", "shape", "path"), [
    ("", (2,), "ve"), (":field", (2,), "ve"), (":other", (1,), "edm"), (":ready", (1,), "edm"),
    (":Own", (2,), "vp-linear"),
])  # fmt: skip
def test_a_program_gives_a_field(name, shape, path, write):
    field = fields.load(f"{write(PROGRAM)}{name}")
    assert (field.shape, field.path.name, type(field).__name__ != "NetworkField") == (shape, path, True)


@pytest.mark.parametrize("name", ["net", "Net"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_module_is_asked_as_a_network(name, dtype, write, rng):
    field = fields.load(f"{write(PROGRAM)}:{name}", dtype=dtype)
    assert isinstance(field, NetworkField)
    x = rng.normal(size=(4, 2, 3))
    np.testing.assert_allclose(field(x, 1.0), x, rtol=1e-6 if dtype == "float32" else 1e-14)
    with pytest.raises(UsageError, match=r"mine\.py: [Nn]et: label 1 is not one of the network's classes"):
        fields.load(f"{write(PROGRAM)}:{name}", label=1)


def test_a_bare_function_is_a_network(write, rng):
    field = fields.load(f"{write(PROGRAM)}:bare")
    x = rng.normal(size=(4, 2))
    np.testing.assert_allclose(field(x, 3.0), 3 * x, rtol=1e-6)
    grid = sb.grid("edm", field.path, steps=3)
    assert sb.sample(field, "ddim", grid, n=2, seed=0).x.shape == (2, 2)


def test_the_only_field_need_not_be_named(write):
    one = HEAD + "mine = Gaussian([0.0], [1.0], 'edm')\n"
    assert fields.load(str(write(one))).shape == (1,)
    for text, message in [
        (HEAD, r"say which field, mine\.py:name; it defines nothing called field"),
        (one + "yours = mine\n", "it defines mine and yours"),
    ]:
        with pytest.raises(UsageError, match=message):
            fields.load(str(write(text)))


@pytest.mark.parametrize(("text", "name", "message"), [
    (PROGRAM, "fild", r"mine\.py has no 'fild' \(did you mean field"),
    ("x = 1 / 0\n", "", r"mine\.py, line 1: ZeroDivisionError"),
    ("\nx = (\n", "", r"mine\.py, line 2: SyntaxError"),
    ("raise SystemExit(3)\n", "", "SystemExit: 3"),
    ("import solverbench as sb\nsb.path('edn')\n", "", r"mine\.py: unknown path 'edn'"),
    ("def field():\n    return 1 / 0\n", "", r"field\(\) must return a field, but raised ZeroDivisionError"),
    ("def field():\n    raise SystemExit(3)\n", "", "SystemExit: 3"),
    ("import solverbench as sb\ndef field():\n    sb.path('edn')\n", "", r"field\(\): unknown path 'edn'"),
    ("def field():\n    pass\n", "", r"field\(\) returned None, which is no field: .* path, shape and prediction"),
    ("import torch\ndef field():\n    return torch.nn.Linear(1, 1)\n", "", r"returned of type Linear"),
    ("def field(x, t):\n    return x\n", "", r"field takes arguments: .* attributes path, shape and prediction"),
    ("field = 3\n", "", "field is of type int, neither a field"),
    (PROGRAM + "bare.shape = 3\n", "bare", r"mine\.py: bare: shape must be"),
    (PROGRAM + "bare.shape = (0,)\n", "bare", "shape must be"),
    (PROGRAM + "bare.path = 'edn'\n", "bare", "unknown path 'edn'"),
    (PROGRAM + "bare.path = None\n", "bare", "path must be a path or its name"),
    (PROGRAM + "bare.prediction = 'eps'\n", "bare", "unknown prediction 'eps'"),
    (PROGRAM + "Own.path = 'edm'\n", "Own", r"not a name: solverbench.path\('edm'\)"),
])  # fmt: skip
def test_a_program_that_gives_none_is_told_why(text, name, message, write):
    with pytest.raises(UsageError, match=message):
        fields.load(f"{write(text)}:{name}" if name else str(write(text)))
    assert "solverbench_field_mine" not in sys.modules or not message.startswith("mine.py, line")


def test_a_file_is_run_afresh_unless_it_was_run_for_its_solvers(write):
    text = "import solverbench as sb\n@sb.solver('s')\ndef s(x, path, grid):\n    return x\n"
    text += "ready = sb.fields.Gaussian([0.0], [{}], 'edm')\n"
    from solverbench.methods.user import load_file

    path = write(text.format(1.0), "both.py")
    load_file(str(path))
    assert fields.load(str(path)).variance == 1
    for value in (2.0, 3.0):
        changed = write(f"import solverbench as sb\nready = sb.fields.Gaussian([0.0], [{value}], 'edm')\n", "new.py")
        assert fields.load(str(changed)).variance == value


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def opener(monkeypatch):
    """opener(module, function): a stand-in for the function that opens a network; what it was given."""

    def replace(module, function):
        calls = []
        found = SimpleNamespace(**{function: lambda *a, **k: calls.append((*a, k)) or "the field"})
        monkeypatch.setitem(sys.modules, f"solverbench.fields.{module}", found)
        return calls

    return replace


@pytest.mark.parametrize(("name", "module", "function"), [
    ("a.SAFETENSORS", "trained", "open_trained"), ("a.safetensors", "trained", "open_trained"),
    ("a.pkl", "edm", "open_edm"), ("", "diffusers", "open_diffusers"),
])  # fmt: skip
def test_networks_are_opened_by_their_ending(name, module, function, opener, write, tmp_path):
    calls = opener(module, function)
    file = write(b"", name) if name else tmp_path
    options = {"label": 1, "guidance": 2.0, "dtype": "float64", "device": "cpu"}
    assert fields.load(str(file), **options) == "the field"
    assert calls == [(file, options)]
    with pytest.raises(UsageError, match="has its own path and takes no other, but path=ve"):
        fields.load(str(file), "ve")
    with pytest.raises(UsageError, match=r"no option 'lable' \(did you mean label"):
        fields.load(str(file), lable=1)
    assert len(calls) == 1


def test_a_folder_that_is_none_of_diffusers(tmp_path):
    with pytest.raises(ArtifactError, match=r"neither config\.json nor unet/config\.json"):
        fields.load(str(tmp_path))


def test_options_are_refused_where_they_mean_nothing(spectrum, write):
    with pytest.raises(UsageError, match="has no option 'label': it is no network"):
        fields.load(spectrum(SPECTRUM), label=1)
    with pytest.raises(UsageError, match="has no option 'steps'"):
        fields.load(spectrum(SPECTRUM), steps=1)
    with pytest.raises(UsageError, match="has its own path"):
        fields.load(str(write(PROGRAM)), "edm")
    with pytest.raises(UsageError, match=r"mine\.py: ready: option 'dtype' is for networks"):
        fields.load(f"{write(PROGRAM)}:ready", dtype="float64")
    with pytest.raises(UsageError, match=r"dtype 'flaot32' is no type of a network \(did you mean float32"):
        fields.load(f"{write(PROGRAM)}:net", dtype="flaot32")
    with pytest.raises(UsageError, match="unknown path 'edn'"):
        fields.load(spectrum(SPECTRUM), "edn")


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture
def downloads(monkeypatch):
    """What was downloaded: (url, sha256) of every call; `file` is what a call returns."""
    from solverbench import artifacts

    calls = SimpleNamespace(made=[], file=None)
    monkeypatch.setattr(artifacts, "download", lambda url, sha256: calls.made.append((url, sha256)) or calls.file)
    return calls


def test_an_address_is_downloaded_and_opened(downloads, spectrum, opener):
    downloads.file = Path(spectrum(SPECTRUM))
    url = "https://example.org/a%20b/it.npy?v=1"
    assert fields.load(f"{url}#sha256={DIGEST.upper()}", "ve").path.name == "ve"
    assert downloads.made == [(url, DIGEST)]
    calls = opener("trained", "open_trained")
    assert fields.load(f"https://example.org/it.safetensors#sha256={DIGEST}", label=3) == "the field"
    assert calls == [(downloads.file, {"label": 3})]


@pytest.mark.parametrize(("spec", "options", "message"), [
    (f"http://example.org/a.safetensors#sha256={DIGEST}", {}, "over https only"),
    (f"file:///a.safetensors#sha256={DIGEST}", {}, "over https only"),
    (f"https://[example/a.safetensors#sha256={DIGEST}", {}, "is no address: Invalid IPv6"),
    ("https://example.org/a.safetensors", {}, "has no checksum: append #sha256="),
    (f"https://example.org/a.safetensors#sha256={DIGEST[1:]}", {}, "has no checksum"),
    (f"https://example.org/a.safetensors#md5={DIGEST}", {}, "has no checksum"),
    (f"https://example.org/a.py#sha256={DIGEST}", {}, "a program is not run from the network"),
    (f"https://example.org/a.py:field#sha256={DIGEST}", {}, "must end in one of"),
    (f"https://example.org/a.pt#sha256={DIGEST}", {}, "not '.pt'"),
    (f"https://example.org/#sha256={DIGEST}", {}, "must end in one of .npy, .npz, .safetensors, .pkl, not ''"),
    (f"https://example.org/a.safetensors#sha256={DIGEST}", {"path": "edm"}, "has its own path"),
    (f"https://example.org/a.npy#sha256={DIGEST}", {"label": 1}, "it is no network"),
])  # fmt: skip
def test_addresses_that_are_refused_are_not_asked(spec, options, message, downloads):
    with pytest.raises(UsageError, match=message):
        open_field(spec, **options)
    assert downloads.made == []


def test_torch_states_pass_through_a_spectrum(spectrum):
    field = fields.load(spectrum(SPECTRUM))
    x = torch.ones(2, 3, dtype=torch.float64)
    np.testing.assert_allclose(field(x, 1.0).numpy(), field(x.numpy(), 1.0))
