"""Counter-based noise: known words, the transform, moments, and independence of how many are asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from solverbench.engines.noise import START, normals

MASK = 2**64 - 1


def philox(counter, key):
    """Philox-4x64-10 (Salmon et al. 2011), in Python integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        low, high = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [(high >> 64) ^ c[1] ^ k[0], high & MASK, (low >> 64) ^ c[3] ^ k[1], low & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return c


def test_known_answers():
    """Random123's kat_vectors for philox4x64, 10 rounds; and numpy's generator, which counts before it draws."""
    assert philox([0, 0, 0, 0], [0, 0])[:3] == [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B]
    raw = np.random.Philox(key=[7, 3], counter=[41, 0, 0, 0]).random_raw(8).tolist()
    assert raw == philox([42, 0, 0, 0], [7, 3]) + philox([43, 0, 0, 0], [7, 3])


@pytest.mark.parametrize("d", [1, 2, 3, 8, 9, 17])
@pytest.mark.parametrize(("seed", "stream", "sample"), [(0, START, 0), (5, 2, 3), (2**63 + 1, 7, 1000)])
def test_documented_transform(d, seed, stream, sample):
    """Blocks i B .. (i + 1) B - 1, B = ceil(d/8), of four words; each word two numbers, half the vector apart."""
    B, half = math.ceil(d / 8), math.ceil(d / 2)
    words = [w for b in range(sample * B, (sample + 1) * B) for w in philox([b + 1, 0, 0, 0], [seed, stream])]
    expected = [0.0] * (2 * half)
    for j, word in enumerate(words[:half]):
        r = math.sqrt(-2 * math.log(((word >> 32) + 0.5) / 2**32))
        angle = 2 * math.pi * (word & 0xFFFFFFFF) / 2**32
        expected[j], expected[half + j] = r * math.cos(angle), r * math.sin(angle)
    got = normals(seed, stream, sample, 1, d)[0]
    np.testing.assert_allclose(got, expected[:d], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sample_does_not_depend_on_its_neighbours(dtype):
    whole = normals(3, 1, 0, 50, 11, dtype)
    assert np.array_equal(normals(3, 1, 0, 20, 11, dtype), whole[:20])
    assert np.array_equal(normals(3, 1, 17, 9, 11, dtype), whole[17:26])
    for i in (0, 1, 49):
        assert np.array_equal(normals(3, 1, i, 1, 11, dtype)[0], whole[i])


def test_float32_is_float64_rounded():
    a, b = normals(1, 0, 0, 2000, 10, np.float32), normals(1, 0, 0, 2000, 10, np.float64)
    assert a.dtype == np.float32
    # angle and logarithm are good to 1e-6; where r is small, the square root turns 1.2e-7 of r^2 into 1.2e-7/r
    r = np.hypot(b[:, :5], b[:, 5:])
    bound = 2e-6 * r + np.minimum(2.4e-7 / r, 4e-4)
    assert np.all(np.abs(a - b) <= np.hstack([bound, bound]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments(dtype):
    z = normals(9, 4, 0, 20_000, 10, dtype).astype(float)
    n = z.size
    assert abs(z.mean()) < 4 / math.sqrt(n)
    assert abs((z**2).mean() - 1) < 4 * math.sqrt(2 / n)
    assert abs((z**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4 * math.sqrt(96 / n)
    correlation = np.corrcoef(z.T) - np.eye(10)
    assert np.abs(correlation).max() < 4.5 / math.sqrt(len(z))
    assert 4 < np.abs(z).max() < 6.8


@pytest.mark.parametrize("other", [(1, 0, 0), (0, 1, 0), (0, 0, 20_000)])
def test_seeds_streams_and_samples_are_independent(other):
    a, b = normals(0, 0, 0, 20_000, 4).ravel(), normals(*other, 20_000, 4).ravel()
    assert not np.any(a == b)
    assert abs(np.mean(a * b)) < 4 / math.sqrt(a.size)
    assert abs(np.mean(a[:-1] * a[1:])) < 4 / math.sqrt(a.size)


def test_any_integer_is_a_seed():
    assert np.array_equal(normals(-1, 0, 0, 2, 3), normals(2**64 - 1, 0, 0, 2, 3))
