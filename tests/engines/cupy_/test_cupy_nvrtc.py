"""NVRTC takes every instantiation for every architecture without a warning, and the assembler spills nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from solverbench.engines.cupy import nvrtc
from solverbench.engines.cupy.sources import TYPES, Kernel, every, text

pytestmark = pytest.mark.skipif(nvrtc.find() is None, reason="needs nvidia-cuda-nvrtc-cu12")
KERNELS = list(every())


def of(file, some=lambda kernel: True):
    """The instantiations of one file."""
    return [k for k in KERNELS if k.file == file and some(k)]


FILES = sorted({k.file for k in KERNELS})


def check(kernels, architecture):
    """Compile, and look at what is said."""
    _, log, _ = nvrtc.compiled(kernels, architecture)
    assert not nvrtc.warnings(log)
    for r in nvrtc.resources(kernels, architecture):
        assert r.spilled == 0, r
        assert r.stack == 0, r


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("file", FILES)
def test_one_of_each_file_on_every_architecture(file, architecture):
    check(of(file)[7:8] or of(file)[:1], architecture)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
@pytest.mark.parametrize("file", FILES)
def test_all_of_them(file, architecture):
    check(of(file), architecture)


@pytest.mark.parametrize("dtype", TYPES.values())
def test_states_are_loaded_sixteen_bytes_at_a_time(dtype):
    ptx, _, _ = nvrtc.compiled(of("combine.cu", lambda k: k.expression == f"combine<{dtype}, 3>"), 80)
    wide = re.compile(rb"(ld|st)\.global\.(v4\.[fub]32|v2\.[fub]64)")
    assert {m[0] for m in wide.findall(ptx)} == {b"ld", b"st"}


def test_a_warning_is_seen_and_an_error_is_raised(monkeypatch):
    broken = {"warned.cu": "__global__ void f(int a) { int unused; }", "wrong.cu": "__global__ void f() { return 1; }"}
    monkeypatch.setattr(nvrtc, "text", broken.get)
    _, log, _ = nvrtc.compiled([Kernel("warned.cu", "f")], 80)
    assert any("unused" in line for line in nvrtc.warnings(log))
    with pytest.raises(RuntimeError, match=r"wrong.cu does not compile for sm_80"):
        nvrtc.compiled([Kernel("wrong.cu", "f")], 80)


def test_headers_are_in_place():
    for file in FILES:
        assert "#include" not in text(file)
        assert text(file).count("typedef long long int64;") == 1


def test_the_table_names_every_kernel():
    page = (Path(__file__).parents[3] / "docs" / "kernels.md").read_text("utf-8")
    for family in nvrtc._families():
        assert page.count(f"`{nvrtc._span(family)}`") == len(nvrtc.ARCHITECTURES)
