from __future__ import annotations

import os
import pickle
import struct
import time
from collections import OrderedDict

import edm_writer as w
import numpy as np
import pytest
import torch

from solverbench.errors import ArtifactError
from solverbench.fields.edm.reader import parse_edm, read_edm


def holding(value, **state):
    """A file whose network holds one buffer `x`."""
    state = {"_init_args": (), "_init_kwargs": {}, "_buffers": {"x": value}} | state
    return w.dumps({"ema": w.module("EDMPrecond", state)})


def opcodes(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def refused(content: bytes, message: str | None):
    with pytest.raises(ArtifactError, match=message) as caught:
        parse_edm(content, "file.pkl")
    assert str(caught.value).startswith("file.pkl: refused as an EDM network: ")


def test_what_is_read():
    tensors = {"model.enc.a.weight": torch.randn(3, 4), "model.b.resample_filter": torch.randn(2), "u": torch.randn(5)}
    kwargs = {"img_resolution": 8, "channel_mult": [1, 2], "sigma_max": float("inf"), "pair": (1, 2)}
    found = parse_edm(w.snapshot("EDMPrecond", kwargs, tensors, "SongUNet", sigma_data=0.5), "f")
    assert found.class_name == "EDMPrecond"
    assert found.kwargs == kwargs | {"pair": [1, 2]}
    assert found.attributes == {"training": False, "skip_scale": np.sqrt(0.5), "sigma_min": 0.002, "sigma_data": 0.5}
    assert type(found.attributes["sigma_min"]) is float
    assert found.classes == {"": "EDMPrecond", "model": "SongUNet", "model.enc.a": "Conv2d", "model.b": "Conv2d"}
    assert found.tensors.keys() == tensors.keys()
    for key, value in tensors.items():
        np.testing.assert_array_equal(found.tensors[key], value.numpy())


@pytest.mark.parametrize(
    "dtype",
    [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool],
)
def test_every_kind_of_storage(dtype):
    value = torch.tensor([[0.0, 1.0, 2.5], [3.0, 0.0, 7.0]]).to(dtype)
    found = parse_edm(holding(w.written(value)), "f").tensors["x"]
    expected = value.float() if dtype == torch.bfloat16 else value
    assert found.dtype == expected.numpy().dtype
    np.testing.assert_array_equal(found, expected.numpy())


def test_views_of_a_storage():
    base = torch.arange(24.0).reshape(4, 6)
    for view in (base.T, base[1:, ::2], base[2, 3], base[:0]):
        found = parse_edm(holding(w.written(view)), "f").tensors["x"]
        np.testing.assert_array_equal(found, view.numpy())
        assert not found.size or not found.flags.writeable


def test_other_writers():
    state = {"_init_kwargs": {}, "_buffers": {"x": w.written(torch.ones(2))}}
    easy = w.Call(w.Name("dnnlib.util", "EasyDict"), (), new=True)
    state["easy"] = easy
    state["set"] = w.Call(w.Name("builtins", "set"), ([],))
    for core in ("core", "_core"):
        scalar = w.Call(
            w.Name(f"numpy.{core}.multiarray", "scalar"),
            (w.Call(w.Name("numpy", "dtype"), ("f4", False, True), (3, "<", None, None, None, -1, -1, 0)), b"\0\0\0?"),
        )
        found = parse_edm(w.dumps({"ema": w.module("A", state | {"number": scalar})}), "f")
        assert found.attributes == {"number": 0.5}
    encoded = w.Call(w.Name("_codecs", "encode"), (w.stream(torch.ones(2)).decode("latin1"), "latin1"))
    tensor = w.Call(w.TENSOR, (w.Call(w.STREAM, (encoded,)), 0, (2,), (1,), False, OrderedDict()))
    np.testing.assert_array_equal(parse_edm(holding(tensor), "f").tensors["x"], [1, 1])


def test_protocols_two_and_three(tmp_path):
    class Old(w.Pickler):
        def save(self, value, save_persistent_id=True):
            if isinstance(value, w.Name):
                self.write(pickle.GLOBAL + f"{value.module}\n{value.qualname}\n".encode())
            else:
                super().save(value, save_persistent_id)

    for protocol in (2, 3):
        state = {"_init_args": (), "_init_kwargs": {"a": 1 << 40}, "_buffers": {"x": w.written(torch.ones(300))}}
        with open(tmp_path / "f.pkl", "wb") as file:
            Old(file, protocol).dump({"ema": w.module("A", state)})
        found = read_edm(tmp_path / "f.pkl")
        assert found.kwargs == {"a": 1 << 40}
        assert found.tensors["x"].shape == (300,)


def test_files_that_hold_something_else(tmp_path):
    refused(w.dumps({"model": 1, "step": 2}), "no network called 'ema', but 'model', 'step'")
    refused(w.dumps({}), "no network called 'ema', but nothing")
    refused(w.dumps([1]), "no dictionary with 'ema', but list")
    refused(w.dumps({"ema": None}), "'ema' is no network, but NoneType")
    refused(w.dumps({"ema": w.Call(w.DICT, (), {}, new=True)}), "'ema' is no network, but ModuleDict")
    refused(w.dumps({"ema": w.module("A", {"_init_args": (1,), "_init_kwargs": {}})}), "not named")
    refused(w.dumps({"ema": w.module("A", {})}), "_init_kwargs")
    refused(w.dumps({"ema": w.module("A", {}, type="function")}), "no class")
    refused(w.dumps({"ema": w.module("A; import os", {})}), "without a class name")
    refused(w.dumps({}) + b"more", "4 bytes follow its end")
    refused(b"", "1 bytes where 0 are left")
    refused(b"PK\x03\x04", "opcode PERSID")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_edm(tmp_path / "absent.pkl")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_edm(tmp_path)


def test_a_file_too_large_is_not_read(tmp_path):
    with open(tmp_path / "large.pkl", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ArtifactError, match="more than 8,589,934,592 bytes"):
        read_edm(tmp_path / "large.pkl")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch.storage", "_load_from_bytes.__globals__"),
        ("collections", "OrderedDict.fromkeys"),
        ("numpy", "load"),
        ("torch_utils.persistence", "import_hook"),
        ("pickle", "loads"),
    ],
)
def test_other_names_are_refused_and_do_nothing(module, name, tmp_path):
    sentinel = tmp_path / "sentinel"
    command = f"touch {sentinel}" if "system" in name else f"open({str(sentinel)!r}, 'w')"
    for new in (False, True):
        refused(w.dumps({"ema": w.Call(w.Name(module, name), (command,), new=new)}), f"asks for {module}.{name}")
    old = f"c{module}\n{name}\n".encode() + text(command) + b"\x85R"
    refused(opcodes(old), f"asks for {module}.{name}")
    blob = opcodes(old)  # the same inside of a tensor
    refused(holding(w.tensor_of(blob, 0, (1,), (1,))), f"asks for {module}.{name}")
    assert not sentinel.exists()


def test_a_pickle_that_python_itself_would_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'sentinel'}",)

    content = pickle.dumps({"ema": Hostile()}, 4)
    refused(content, r"asks for (posix|nt)\.system")
    assert not (tmp_path / "sentinel").exists()
    pickle.loads(content)
    assert (tmp_path / "sentinel").exists()  # so the test tests something


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"Pid\n", "PERSID"),
        (b"N" + b"Q", "BINPERSID"),
        (b"(ios\nsystem\n", "INST"),
        (b"(cos\nsystem\no", "os.system"),
        (b"(o", "OBJ"),
        (b"\x82\x01", "EXT1"),
        (b"\x84\x01\0\0\0", "EXT4"),
        (b")}\x92", "NEWOBJ_EX"),
        (b"I1\n", "INT"),
        (b"S'a'\n", "STRING"),
        (b"\x97", "NEXT_BUFFER"),
        (b"\x96" + struct.pack("<Q", 1 << 40), "BYTEARRAY8"),
        (b"N2", "DUP"),
        (b"\xff", "0xff"),
    ],
)
def test_other_opcodes_are_refused(body, name):
    refused(opcodes(body), name)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x8e" + struct.pack("<Q", 1 << 62), "announces 4,611,686,018,427,387,904 bytes"),
        (b"\x8e" + struct.pack("<Q", (1 << 64) - 1), "announces"),
        (b"\x8d" + struct.pack("<Q", 1 << 40), "announces"),
        (b"B" + struct.pack("<I", 1 << 31), "announces"),
        (b"\x95" + struct.pack("<Q", 1 << 50), "announces 1,125,899,906,842,624 bytes"),
        (b"\x8b" + struct.pack("<i", 1 << 30), "whole number of 1,073,741,824 bytes"),
        (b"\x8b" + struct.pack("<i", -1), "whole number of -1 bytes"),
        (b"\x8a\xff" + bytes(255), "whole number of 255 bytes"),
        (b"j" + struct.pack("<I", 1 << 31), "refers to value 2147483648"),
        (b"h\0", "refers to value 0"),
        (b"q\0", "stores a value before"),
        (b"R", "more values than it has made"),
        (b"a", "more values than it has made"),
        (b"t", "a list that it has not begun"),
        (b"NNR", "no admitted name"),
        (b"N)\x81", "no admitted name"),
        (b"}Nb", "fills a Record that is none"),
        (b"NNa", "fills a list that is none"),
        (b"NNNs", "fills a dict that is none"),
        (b"}]Ns", "keys are not plain"),
        (b"}(Nu", "key without a value"),
        (b"\x8f()\x90", "keys are not plain"),
        (b"cos", "does not end"),
        (b"NN\x93", "no string"),
        (b"NN", "middle of a value"),
        (b"(N", "middle of a value"),
        (b"X\x01\0\0\0\xff", "damaged .UnicodeDecodeError"),
        (text("torch_utils.persistence") + text("_reconstruct_persistent_obj") + b"\x93)R", "wrong arguments"),
    ],
)
def test_what_is_malformed(body, message):
    refused(opcodes(body), message)


def test_a_memo_of_enormous_numbers_costs_nothing():
    refused(opcodes(b"Nr\xff\xff\xff\xff"), "no dictionary with 'ema', but NoneType")


def test_a_state_is_only_kept():
    hostile = {"__class__": 1, "__setstate__": 2, "kind": "module", "content": {"state": {}}, "stands_for": 3}
    record = w.Call(w.DICT, (), hostile, new=True)
    found = parse_edm(w.dumps({"ema": w.module("A", {"_init_kwargs": {}, "_modules": {"a": record}})}), "f")
    assert found.tensors == {}
    refused(
        w.dumps({"ema": w.module("A", {"_init_kwargs": {}, "_modules": {"a": w.Call(w.DICT, (), (1, 2), new=True)}})}),
        "state of a ModuleDict in it is no dictionary",
    )
    twice = text(w.DICT.module) + text(w.DICT.qualname) + b"\x93)\x81}b}b"
    refused(opcodes(twice), "state of a ModuleDict twice")
    refused(opcodes(text("collections") + text("OrderedDict") + b"\x93}b"), "fills a Record that is none")


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (9,), (1,)),
        (1, (8,), (1,)),
        (0, (2, 4), (8, 1)),
        (0, (1 << 39,), (0,)),
        (0, (1 << 39, 1 << 39, 1 << 39), (0, 0, 0)),
        (0, (3, 3), (0, 0)),
        (-1, (2,), (1,)),
        (1 << 62, (1,), (1,)),
        (8, (1,), (1,)),
        (0, (2,), (-1,)),
        (7, (2,), (-1,)),
        (0, (-2,), (1,)),
        (0, (2,), (1 << 62,)),
        (0, (2,), (1, 1)),
        (0, (2.0,), (1,)),
        (0, (True,), (1,)),
        (True, (2,), (1,)),
        (None, (2,), (1,)),
        (0, [2], [1]),
        (0, None, None),
        (0, (1,) * 9, (1,) * 9),
    ],
)
def test_tensors_out_of_bounds(offset, size, stride):
    content = w.stream(torch.arange(8.0))
    refused(holding(w.tensor_of(content, offset, size, stride)), "reaches past its storage|impossible offset|damaged")


def test_streams_that_lie():
    def announcing(kind, key, count, last=None):
        name = b"ctorch\nFloatStorage\n"
        body = b"(" + string(kind) + name + string(key) + string("cpu") + pickle.dumps(count, 2)[2:-1]
        return b"\x80\x02" + body + pickle.dumps(last, 2)[2:-1] + b"tQ."

    def string(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    key = "94"
    magic, version, system, keys = (
        pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, [key])
    )
    tail = struct.pack("<q8f", 8, *range(8))
    honest = announcing("storage", key, 8)
    good = magic + version + system + honest + keys + tail
    found = parse_edm(holding(w.tensor_of(good, 0, (8,), (1,))), "f")
    np.testing.assert_array_equal(found.tensors["x"], np.arange(8))

    def lie(content, message):
        refused(holding(w.tensor_of(content, 0, (1,), (1,))), message)

    lie(b"", "announces 1 bytes where 0 are left")
    lie(good[:-1], "8 values, but 31 bytes")
    lie(good + b"\0", "8 values, but 33 bytes")
    lie(version + magic + system + honest + keys + tail, "not of torch's old format")
    lie(magic + version + pickle.dumps({"little_endian": False}, 2) + honest + keys + tail, "another order")
    lie(magic + version + system + keys + keys + tail, "several storages, or none")
    lie(magic + version + system + honest + pickle.dumps([key, key], 2) + tail, "several storages, or none")
    for count, message in ((9, "9 values, but 32"), (1 << 50, "impossible size"), (-1, "impossible size")):
        identity = announcing("storage", key, count)
        lie(magic + version + system + identity + keys + tail, message)
    for identity in (announcing("module", key, 8), announcing("storage", key, 8, last=(1,))):
        lie(magic + version + system + identity + keys + tail, "persistent id that is no storage")
    lie(magic + version + system + b"\x80\x02Nq\0Q." + keys + tail, "persistent id that is no storage")
    lie(b"\x80\x02ctorch\nFloatStorage\n)R.", "calls the type of a storage")
    for count in (7, 9, -8, 1 << 62):
        lie(good[: -32 - 8] + struct.pack("<q", count) + good[-32:], "8 values, but 32 bytes")
    refused(holding(w.Call(w.TENSOR, (None, 0, (1,), (1,), False, None))), "without a storage")
    refused(holding(w.Call(w.PARAMETER, (None, True, None))), "no tensor")
    refused(holding(w.Call(w.STREAM, ("text",))), "no stream of bytes")
    refused(holding(3), "x is no tensor, but int")


def test_what_would_take_forever_does_not():
    start = time.perf_counter()
    state = text(w.DICT.module) + text(w.DICT.qualname) + b"\x93)\x81\x94}" + text("_modules") + b"}("
    state += b"".join(text(f"m{i}") + b"h\0" for i in range(50)) + b"usb"  # modules that hold themselves
    whole = b"}" + text("ema") + text(w.PERSISTENT.module) + text(w.PERSISTENT.qualname) + b"\x93}("
    whole += text("type") + text("class") + text("class_name") + text("A") + text("state")
    whole += b"}(" + text("_init_kwargs") + b"}" + text("_modules") + b"}" + text("m") + state + b"suu\x85Rs"
    refused(opcodes(whole), "too many or too deep")
    nested = []
    for _ in range(30):
        nested = [nested] * 30
    kwargs = {"_init_kwargs": {"a": [[[[1] * 90] * 90] * 90]}}
    refused(w.dumps({"ema": w.module("A", kwargs)}), "too many or too deep")
    refused(w.dumps({"ema": w.module("A", {"_init_kwargs": {"a": nested}})}), "too many or too deep")
    refused(opcodes(b")" + b"\x85" * 900_000), "no dictionary with 'ema', but tuple")
    refused(opcodes(b"N0" * 600_000), "more than .* steps")
    content = w.stream(torch.ones(1000))
    tensor = w.tensor_of(content, 0, (1000,), (1,))
    many = {"_init_kwargs": {}, "_buffers": {f"x{i}": tensor for i in range(100)}}
    refused(w.dumps({"ema": w.module("A", many)}), "more values than bytes")
    assert time.perf_counter() - start < 60


def small() -> bytes:
    tensors = {"model.enc.a.weight": torch.randn(2, 3), "model.b.resample_filter": torch.randn(2)}
    return w.snapshot("EDMPrecond", {"img_resolution": 8, "channel_mult": [1, 2]}, tensors, "SongUNet")


def test_every_truncation_is_refused():
    content = small()
    for end in range(0, len(content), 7):
        refused(content[:end], None)


def test_flipped_bits_are_refused_or_harmless():
    content, rng, accepted = small(), np.random.default_rng(0), 0
    for _ in range(1500):
        damaged = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            damaged[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        try:
            found = parse_edm(bytes(damaged), "f")
        except ArtifactError:
            continue
        accepted += 1
        assert all(isinstance(value, np.ndarray) for value in found.tensors.values())
    assert 0 < accepted < 1500
