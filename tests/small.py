"""Small fields in place of the shipped ones, so that a cell takes milliseconds, and the problems of suites on them."""

from __future__ import annotations

import json

import numpy as np

from solverbench.fields.gaussian import PrincipalGaussian
from solverbench.fields.mixture import Mixture

D = 12
PROBLEMS = """
[[problems]]
name = "gaussian"
field = "cifar10-gaussian"
kind = "law"

[[problems]]
name = "mixture"
field = "cifar10-mixture"
kind = "paired"
samples = 6
paired = 2
rtol = 1e-6
"""


def gaussian(path="edm"):
    """In twelve eigen-coordinates, with five eigenvectors for pictures (3, 2, 2)."""
    return PrincipalGaussian(np.zeros(D), np.linspace(0.01, 1, D), np.eye(D)[:, :5], path, picture_shape=(3, 2, 2))


def mixture(path="edm"):
    """Two components on pictures (3, 2, 2)."""
    means = np.random.default_rng(5).normal(size=(2, 3, 2, 2)) / 2
    return Mixture([0.6, 0.4], means, variances=[0.05, 0.1], path=path)


def pictures():
    """Two components on pictures of the size of CIFAR-10's, smooth and rough."""
    coarse = np.random.default_rng(6).normal(size=(2, 3, 4, 4)) / 2
    return Mixture([0.6, 0.4], np.kron(coarse, np.ones((1, 1, 8, 8))), variances=[0.02, 0.1], path="edm")


def extractor():
    """A feature extractor with random weights, and the statistics of exact samples of `pictures`, as an artifact."""
    import torch

    from solverbench.networks.classifier import Classifier
    from solverbench.pretrain.artifact import Artifact
    from solverbench.pretrain.training import half

    torch.manual_seed(0)
    network = Classifier(widths=(8, 12)).eval()
    x = torch.from_numpy(pictures().sample(200, seed=1)).float()
    with torch.no_grad():
        features = network.features(x).double()
    statistics = {"statistics.mean": features.mean(0).numpy(), "statistics.covariance": features.T.cov().numpy()}
    card = {"field": "features", "network": network.options}
    return Artifact("cifar10-features", half(network) | statistics, card)


def load(name, path="edm"):
    """Takes the place of `solverbench.fields.load`."""
    return gaussian(path) if name == "cifar10-gaussian" else mixture(path)


def told(text):
    """The records of finished cells among the events that `run --json` printed."""
    return [event["record"] for event in map(json.loads, text.splitlines()) if event["event"] == "cell"]
