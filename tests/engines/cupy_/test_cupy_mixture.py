"""The mixture's kernel against the field it stands for."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.engines.cupy.mixture import FusedMixture
from solverbench.engines.cupy.runner import Runner
from solverbench.fields import Mixture
from solverbench.fields.mixture import CHUNK_BYTES


def mixtures(rng, path, prediction):
    """One of each parametrisation, with more and fewer components than a warp has threads."""
    shape, d = (2, 3), 6
    for K, rank in ((1, 1), (3, 2), (40, 0), (70, 3)):
        weights = rng.uniform(0.2, 1, K)
        given = {"path": path, "prediction": prediction, "weights": weights / weights.sum()}
        means = rng.normal(size=(K, *shape))
        yield Mixture(
            means=means, factors=rng.normal(size=(K, d, rank)), diagonal=rng.uniform(0.01, 1, (K, d)), **given
        )
        yield Mixture(means=means, factors=rng.normal(size=(K, d, rank)), diagonal=np.full((K, d), 0.3), **given)
        A = rng.normal(size=(K, d, d))
        yield Mixture(means=means, covariances=A @ A.transpose(0, 2, 1), **given)


@pytest.mark.skipif(bool(os.environ.get("SANITIZED")), reason="needs kernels the sanitised build leaves out")
def test_a_whole_run_on_kernels_alone(host, rng):
    known = next(mixtures(rng, "edm", "x0"))
    grid = sb.grid("edm", "edm", 8)
    plan = sb.plan("dpmpp-2m", "edm", grid, prediction="x0")
    x = torch.from_numpy(rng.normal(size=(6, *known.shape)) * 80)
    got = Runner(plan, 6, known.shape, torch.float64, "cpu", host)(FusedMixture(known, host), x)
    expected = sb.sample(known, "dpmpp-2m", grid, x=x.numpy(), dtype="float64").x
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("path", "prediction", "times"), [
    ("edm", "x0", (0.01, 1.0, 80.0)), ("rectified", "velocity", (0.1, 0.9)), ("vp-linear", "noise", (0.2, 1.0)),
])  # fmt: skip
def test_products_with_one_kernel_between(host, rng, path, prediction, times):
    for known in mixtures(rng, path, prediction):
        kernel = FusedMixture(known, host)
        for t in times:
            x = torch.from_numpy(rng.normal(size=(13, *known.shape)) * float(known.path.sigma(t) + 1))
            torch.testing.assert_close(kernel(x, t), known(x, t), rtol=1e-10, atol=1e-11)
            torch.testing.assert_close(
                kernel.responsibilities(x, t), known.responsibilities(x, t), rtol=1e-9, atol=1e-12
            )
            single = kernel(x.float(), t)
            assert single.dtype == torch.float32
            torch.testing.assert_close(single, known(x.float(), t), rtol=1e-5, atol=2e-5)


def test_blocks_of_rows_and_nan(host, rng, monkeypatch):
    monkeypatch.setitem(CHUNK_BYTES, "cpu", 1 << 12)
    known = next(mixtures(rng, "edm", "x0"))
    x = torch.from_numpy(rng.normal(size=(50, *known.shape)))
    expected = known(x, 0.7)
    x[30, 0, 0] = torch.nan
    got = FusedMixture(known, host)(x, 0.7)
    assert len(host.launches) > 1
    assert got[30].isnan().all()
    others = torch.arange(50) != 30
    torch.testing.assert_close(got[others], expected[others])
