"""Fields that take one time per sample answer as they do sample by sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from solverbench.errors import UsageError
from solverbench.fields import Gaussian, Mixture
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


X = np.ones((2, 2))
ASKED = {
    "call": lambda field, t: field(X, t),
    "in thirty digits": lambda field, t: field(X.astype(object), t),
    "torch": lambda field, t: field(torch.from_numpy(X), t),
    "divergence": lambda field, t: field.divergence(X, t),
    "moments": lambda field, t: field.moments(t),
    "sample": lambda field, t: field.sample(2, 0, t),
    "density": lambda field, t: field.log_density(X, t),
    "to": lambda field, t: field.transit(X, 1.0, t, 1.0, X),
    "from": lambda field, t: field.transit(X, t, 0.5, 1.0, X),
}
OF_A_GAUSSIAN = {
    "times": lambda field, t: field(X, np.array([1.0, t])),
    "jump to": lambda field, t: field.jump(X, 1.0, t),
    "jump from": lambda field, t: field.jump(X, t, 1.0),
    "affine": lambda field, t: field.affine(t),
    "transition": lambda field, t: field.transition(1.0, t, 0.5),
}
OF_A_MIXTURE = {
    "responsibilities": lambda field, t: field.responsibilities(X, t),
    "covariance": lambda field, t: field.covariance(t),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("t", [-0.5, -1e-3, -1e-300, float("nan")])
def test_there_is_nothing_before_the_data(t, path):
    """Formulas go on there: to numbers that mean nothing, to nan, or to an error of their own."""
    gaussian = Gaussian([0.0, 1.0], [1.0, 0.5], path)
    mixture = Mixture([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], variances=[1.0, 0.5], path=path)
    for field, asked in ((gaussian, ASKED | OF_A_GAUSSIAN), (mixture, ASKED | OF_A_MIXTURE)):
        for ask in asked.values():
            with pytest.raises(UsageError, match=f"no time t = {t}"):
                ask(field, t)


def test_what_takes_one_time_says_so_of_several():
    mixture = Mixture([0.5, 0.5], [[0.0, 1.0], [1.0, 0.0]], variances=[1.0, 0.5], path="edm")
    gaussian = Gaussian([0.0, 1.0], [1.0, 0.5], "edm")
    asked = [
        lambda t: mixture(X, t),
        lambda t: mixture.moments(t),
        lambda t: mixture.transit(X, 2.0, t, 1.0, X),
        lambda t: mixture.log_density(X, t),
        lambda t: gaussian.affine(t),
        lambda t: gaussian.transition(2.0, t),
    ]
    for ask in asked:
        with pytest.raises(UsageError, match=r"one time is of all states here, got times \(2,\): ask for"):
            ask(np.array([0.5, 1.0]))


def test_nothing_flows_on_the_line_before_the_data_either():
    mixture = Mixture([0.5, 0.5], [[0.0], [1.0]], variances=[1.0, 0.5], path="vp-linear")
    with pytest.raises(UsageError, match=r"no time t = -0\.5"):
        mixture.transit(np.ones((2, 1)), 1.0, -0.5, 0.0)
