"""Fields that take one time per sample answer as they do sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from solverbench.fields import Gaussian
from solverbench.fields.network import CHUNK, NetworkField
from solverbench.paths import PATHS
from solverbench.predictions import PREDICTIONS


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("path", PATHS)
def test_gaussian(path, prediction, rng):
    field = Gaussian(rng.normal(size=(2, 2)), [1.0, 0.3, 0.05, 0.2], path, prediction=prediction)
    x, t = rng.normal(size=(5, 2, 2)), np.array([0.9, 0.5, 0.5, 0.2, 0.05])
    alone = np.concatenate([field(x[i : i + 1], float(t[i])) for i in range(5)])
    np.testing.assert_allclose(field(x, t), alone, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(field(torch.from_numpy(x), t).numpy(), alone, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("guidance", [None, 2.0])
def test_network_in_chunks(guidance, rng):
    """Times go with their samples through chunks, and to both calls of a guided one."""

    def network(x, t, label):
        return x * torch.as_tensor(t, dtype=x.dtype).reshape(-1, 1) + label[:, None]

    options = {"labels": 3, "label": 1, "guidance": guidance, "dtype": "float64"}
    field = NetworkField(network, "edm", (2,), takes_times=True, **options)
    n = 2 * CHUNK + 3
    x, t = rng.normal(size=(n, 2)), rng.uniform(1, 2, n)
    label = 3 + 2 * (1 - 3) if guidance else 1
    np.testing.assert_allclose(field(x, t), x * t[:, None] + label, rtol=0, atol=1e-14)
