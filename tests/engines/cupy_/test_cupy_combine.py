"""The kernels' own text, run by the host's compiler, against numpy: numbers, types, shapes, noise, and every edge."""

from __future__ import annotations

import math
import mmap
import os
import subprocess
import sys
from pathlib import Path

import host_kernels
import numpy as np
import pytest
import torch

from solverbench.engines.cupy.combine import BLOCKS_EACH, THREADS, Combination, Draw, blocks, combine, layout
from solverbench.engines.cupy.sources import MAX_TERMS, TYPES, combination
from solverbench.engines.noise import normals

SANITIZED = bool(os.environ.get("SANITIZED"))
TERMS = [2] if SANITIZED else range(1, MAX_TERMS + 1)
EPS = {"float32": 2.0**-24, "float64": 2.0**-53, "float16": 2.0**-11, "bfloat16": 2.0**-8}
SUM_EPS = {"float32": 2.0**-53, "float64": 2.0**-53, "float16": 2.0**-24, "bfloat16": 2.0**-24}


def states(rng, terms, shape, dtype):
    """Random rows of a type, and the same in float64."""
    rows = [torch.from_numpy(rng.normal(size=shape)).to(getattr(torch, dtype)) for _ in range(terms)]
    return rows, [row.double().numpy() for row in rows]


def assert_sum(got, expected, size, dtype, terms):
    """Equal up to the rounding of the result and, in units of `size` = sum |c x|, that of the sums."""
    bound = EPS[dtype] * np.abs(expected) + (2 * terms + 4) * SUM_EPS[dtype] * size + (dtype == "float16") * 2.0**-25
    assert np.all(np.abs(got.double().numpy() - expected) <= bound)


@pytest.mark.parametrize("terms", TERMS)
@pytest.mark.parametrize("dtype", TYPES)
def test_combination_is_numpy_s(host, rng, dtype, terms):
    """At lengths that are and are not multiples of the vector, in rows that are and are not aligned."""
    for shape in ((1, 1), (3, 5), (4, 8), (7, 3, 11), (2, 2500)):
        rows, exact = states(rng, terms, shape, dtype)
        c = rng.normal(size=terms)
        expected = sum(a * x for a, x in zip(c, exact, strict=True))
        size = sum(abs(a * x) for a, x in zip(c, exact, strict=True))
        out = torch.empty_like(rows[0])
        combine(host, out, rows, c)
        assert_sum(out, expected, size, dtype, terms)

        apart = torch.empty(out.numel() + 1, dtype=out.dtype)[1:].view(shape)  # a row that is not aligned
        combine(host, apart, rows, c)
        assert torch.equal(apart, out)
        combine(host, rows[-1], rows, c)  # over an operand
        assert_sum(rows[-1], expected, size, dtype, terms)


@pytest.mark.parametrize("terms", [0, *TERMS])
@pytest.mark.parametrize("dtype", TYPES)
def test_noise_is_that_of_the_cpu_engines(host, rng, dtype, terms):
    for n, d in ((1, 1), (5, 2), (3, 7), (4, 8), (2, 9), (3, 24), (1, 3072), (300, 3)):
        rows, exact = states(rng, terms, (n, d), dtype)
        c, c_z = rng.normal(size=terms), 0.75
        seed, stream, first = 2**63 + 5, 3, 41
        wide = np.float64 if dtype == "float64" else np.float32
        z = normals(seed, stream, first, n, d, wide).astype(float)
        expected = sum((a * x for a, x in zip(c, exact, strict=True)), c_z * z)
        size = sum((abs(a * x) for a, x in zip(c, exact, strict=True)), abs(c_z * z))
        out = torch.empty(n, d, dtype=getattr(torch, dtype))
        combine(host, out, rows, c, [(Draw(seed, stream, first), c_z)])
        # both round the radius and the angle; the bound is the one of the CPU engine's own float32 numbers
        half = -(-d // 2)
        pad = np.pad(z, ((0, 0), (0, 2 * half - d)))
        r = np.maximum(np.hypot(pad[:, :half], pad[:, half:]), 1e-30)
        slack = 2e-6 * r + np.minimum(2.4e-7 / r, 4e-4) if wide is np.float32 else 4e-15 * (1 + 1 / r)
        if d % 2:  # the partner of the last number is not known
            slack[:, -1] = 4e-4 if wide is np.float32 else 1e-10
        slack = c_z * np.hstack([slack, slack])[:, :d]
        error = np.abs(out.double().numpy() - expected)
        assert np.all(error <= slack + EPS[dtype] * (abs(expected) + slack) + (2 * terms + 6) * SUM_EPS[dtype] * size)


def test_words_are_the_published_ones(host):
    """Random123's kat_vectors, philox4x64 with 10 rounds."""
    ones = 2**64 - 1
    assert host.philox([0] * 4, [0] * 2) == [
        0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B
    ]  # fmt: skip
    assert host.philox([ones] * 4, [ones] * 2) == [
        0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0
    ]  # fmt: skip
    pi = [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89]
    assert host.philox(pi, [0x452821E638D01377, 0xBE5466CF34E90C6C]) == [
        0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6
    ]  # fmt: skip


def draw(host, n, d, seed=0, stream=0, first=0, dtype=torch.float32):
    """Noise by the kernel, in float64."""
    out = torch.empty(n, d, dtype=dtype)
    combine(host, out, [], [], [(Draw(seed, stream, first), 1.0)])
    return out.double().numpy()


def test_moments_and_tails(host):
    z = draw(host, 4000, 25).ravel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10395 - 225)):
        assert abs(np.mean(z**power) - moment) < 4 * math.sqrt(variance / z.size)
    for edge in (1, 2, 3, 4):
        p = math.erfc(edge / math.sqrt(2))
        assert abs(np.mean(np.abs(z) > edge) - p) < 4 * math.sqrt(p / z.size)
    assert np.abs(z).max() < 6.8


@pytest.mark.parametrize("other", [{"seed": 1}, {"stream": 1}, {"first": 20_000}])
def test_streams_are_independent(host, other):
    a, b = draw(host, 20_000, 4).ravel(), draw(host, 20_000, 4, **other).ravel()
    assert not np.any(a == b)
    assert abs(np.mean(a * b)) < 4 / math.sqrt(a.size)


def test_noise_belongs_to_samples(host):
    whole = draw(host, 50, 11, seed=3)
    assert np.array_equal(draw(host, 9, 11, seed=3, first=17), whole[17:26])


@pytest.mark.parametrize("dtype", TYPES)
def test_nan_and_infinity_go_through(host, dtype):
    special = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0]
    x = torch.tensor(special * 3, dtype=getattr(torch, dtype)).view(3, 6)
    y = torch.ones_like(x)
    out = torch.empty_like(x)
    combine(host, out, [x, y], [2.0, 0.5])
    expected = 2 * x.double() + 0.5
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=0, equal_nan=True)
    combine(host, out, [x, y], [1.0, 0.0], clip=(-1.0, 0.5))
    torch.testing.assert_close(out.double(), x.double().clamp(-1, 0.5), rtol=0, atol=0, equal_nan=True)
    combine(host, out, [x, x], [1.0, -1.0])  # inf - inf
    assert out[0, :3].isnan().all()
    assert (out[:, 3:] == 0).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_number_of_a_narrow_type_survives(host, dtype):
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    x = bits.view(getattr(torch, dtype)).view(256, 256)
    out = torch.empty_like(x)
    combine(host, out, [x, x], [1.0, 0.0])
    torch.testing.assert_close(out, torch.where(x.isinf(), torch.nan, x), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_to_a_narrow_type_is_torch_s(host, rng, dtype):
    """Sums that fall anywhere between two numbers, ties among them, and into overflow and the subnormal."""
    kind = getattr(torch, dtype)
    x = torch.from_numpy(rng.normal(size=(64, 64)) * 10.0 ** rng.integers(-8, 6, size=(64, 64))).to(kind)
    y = torch.full_like(x, 1.0)
    out = torch.empty_like(x)
    for c in (1.0, 2.0**-9, 2.0**-12, 3.0 * 2.0**-10, 2.0**-24):
        combine(host, out, [x, y], [c, c])
        expected = torch.from_numpy(np.float32(c) * x.float().numpy() + np.float32(c)).to(kind)
        assert torch.equal(out, expected)


def test_coefficients_keep_their_digits(host):
    """c1 x - c2 x with c1 near c2: the difference is that of the float64 coefficients, not of rounded ones."""
    x = torch.ones(2, 4)
    out = torch.empty_like(x)
    combine(host, out, [x, x], [1e6 + 0.123, -1e6])
    assert torch.equal(out, torch.full_like(x, np.float32(1e6 + 0.123 - 1e6)))


@pytest.mark.skipif(SANITIZED, reason="needs kernels the sanitised build leaves out")
@pytest.mark.parametrize("terms", [0, 13, 24, 30])
def test_more_rows_than_a_kernel_takes(host, rng, terms):
    rows, exact = states(rng, terms, (5, 6), "float64")
    c = rng.normal(size=terms)
    z = [normals(1, stream, 2, 5, 6) for stream in (4, 5)]
    draws = [(Draw(1, 4, 2), 0.3), (Draw(1, 5, 2), -2.0)]
    expected = sum((a * x for a, x in zip(c, exact, strict=True)), np.zeros((5, 6)))
    out = rows[-1] if rows else torch.empty(5, 6, dtype=torch.float64)
    combine(host, out, rows, c, clip=(-1e9, 1e9))
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-13, atol=1e-13)
    combine(host, out, [], [], draws)
    np.testing.assert_allclose(out.numpy(), 0.3 * z[0] - 2 * z[1], rtol=1e-13, atol=1e-13)


@pytest.mark.skipif(SANITIZED, reason="needs kernels the sanitised build leaves out")
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("d", [8, 5])
@pytest.mark.parametrize("dtype", TYPES)
def test_dynamic_threshold(host, rng, dtype, d, noise):
    (x,), (exact,) = states(rng, 1, (6, d), dtype)
    s = torch.linspace(0.5, 2, 6, dtype=torch.float64)
    draws = [(Draw(0, 1, 0), 0.0)] if noise else []
    out = torch.empty_like(x)
    combine(host, out, [x], [1.0], draws, bound=s)
    expected = np.clip(exact, -s[:, None].numpy(), s[:, None].numpy()) / s[:, None].numpy()
    np.testing.assert_allclose(out.double().numpy(), expected, rtol=4 * EPS[dtype], atol=0)


def test_one_packed_combination_serves_many_launches(host, rng):
    """Nothing of a launch is left in the next: other operands, batches, alignment, draws and samples."""
    whole = Combination(torch.float32, [0.5, -2.0, 0.25], draws=1)
    for m, d, first in ((3, 8, 0), (7, 5, 2), (1, 8, 9)):
        rows, exact = states(rng, 2, (m, d), "float32")
        out, z = torch.empty(m, d), normals(1, 4, first, m, d, np.float32)
        whole(host, out, [*rows, Draw(1, 4, first)])
        np.testing.assert_allclose(out.numpy(), 0.5 * exact[0] - 2 * exact[1] + 0.25 * z, rtol=0, atol=1e-4)


def test_no_samples(host):
    combine(host, torch.empty(0, 3), [torch.empty(0, 3)], [1.0])
    assert not host.launches


@pytest.mark.parametrize(("items", "expected"), [(0, 1), (1, 1), (256, 1), (257, 2), (10**9, BLOCKS_EACH)])
def test_blocks(host, items, expected):
    assert blocks(items, host) == expected


def test_a_large_batch_is_one_grid_with_loops(host, rng):
    rows, (a, b) = states(rng, 2, (40, 1021), "float32")
    out = torch.empty_like(rows[0])
    combine(host, out, rows, [1.0, -1.0])
    assert host.launches == [("combine<float, 2>", BLOCKS_EACH)]
    np.testing.assert_array_equal(out.numpy(), (a - b).astype(np.float32))


@pytest.mark.skipif(SANITIZED, reason="address sanitizer reserves the memory this looks at")
@pytest.mark.parametrize("noise", [False, True])
def test_more_than_two_to_the_32_elements(host, noise):
    """Only the last block of a huge launch runs, on memory that is reserved but, up to there, never touched."""
    d, samples = 24, 2**32 // 24 + 11
    n = samples * d
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    try:
        memory = [mmap.mmap(-1, 2 * n, flags=flags) for _ in range(3)]
    except OSError:
        pytest.skip("the system does not reserve memory it may not have")
    x, y, out = (np.frombuffer(m, dtype=np.uint16) for m in memory)
    x[-d:], y[-d:] = 0x3F80, np.arange(d) + 0x4000  # bfloat16: 1, and numbers from 2
    argument = np.zeros((), layout(2))
    argument["out"], argument["row"] = out.ctypes.data, [x.ctypes.data, y.ctypes.data]
    argument["c"], argument["low"], argument["high"] = [1, 1], -np.inf, np.inf
    argument["samples"], argument["d"], argument["vector"] = samples, d, 1
    argument["first"], argument["c_noise"] = 2**33, 1
    items = samples * 3 if noise else n // 8
    count = -(-items // THREADS)
    host.launch(combination("bfloat16", 2, noise), count, THREADS, argument, only=(count - 1, count))
    z = normals(0, 0, 2**33 + samples - 1, 1, d, np.float32) if noise else np.zeros((1, d))
    wide = (y[-d:].astype(np.uint32) << 16).view(np.float32) + 1.0 + z[0]
    got = (out[-d:].astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_allclose(got, wide, rtol=2.0**-8, atol=1e-5)
    assert not out[: 2**16].any()


@pytest.mark.skipif(SANITIZED, reason="is what runs this file sanitised")
def test_the_same_under_address_and_undefined_behaviour_sanitizers():
    """The tests of all kernels, in a process where each access and each operation of theirs is checked."""
    if host_kernels.COMPILER is None:
        pytest.skip("needs a C++ compiler")
    find = [host_kernels.COMPILER, "-print-file-name=libasan.so"]
    libasan = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(libasan):
        pytest.skip("needs gcc's address sanitizer")
    env = os.environ | {"SANITIZED": "1", "LD_PRELOAD": libasan, "ASAN_OPTIONS": "detect_leaks=0"}
    files = [__file__, *(Path(__file__).with_name(f"test_cupy_{name}.py") for name in ("mixture", "law"))]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *map(str, files)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
