"""What adapters rest on: names, noise, and a library's float32 read as float64 and given back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from solverbench.errors import UsageError
from solverbench.orders import measure_noise
from solverbench.orders.problems import mixed
from solverbench.orders.ruler import apart
from solverbench.peers import LIBRARIES, library
from solverbench.peers.checks import SIGMAS, as_subject, draws, examine, start


def installed(name):
    try:
        return library(name)
    except UsageError as missing:
        pytest.skip(str(missing))


def draws_of(peer):
    """How many draws one run makes."""
    asked, x = set(), start(2)
    peer.run(mixed, x, SIGMAS, lambda k: asked.add(k) or 0 * x)
    return len(asked)


@pytest.mark.parametrize("name", LIBRARIES)
def test_names_are_unique_and_noise_is_what_it_is_said_to_be(name):
    """Every sampler has a name of its own, and draws noise from the given draws if it is stochastic."""
    peers = installed(name).peers
    assert len({p.name for p in peers}) == len(peers)
    for peer in peers:
        try:
            drawn = draws_of(peer)
        except UnboundLocalError:  # a library's own fault, which the audit reports
            continue
        if peer.stochastic:
            assert drawn > 0, peer.name
        elif drawn:  # the noise is drawn and not used
            x = start(2)
            ends = [peer.run(mixed, x, SIGMAS, draws(*x.shape, seed=seed)) for seed in (1, 2)]
            assert apart(*ends) == 0, peer.name


def test_overlapping_intervals_of_a_brownian_path_are_correlated():
    """W over [5, 3], then over [5, 2], then over [2, 1]: variances one, and the first two share 2/3 of the time."""
    import torch

    from solverbench.peers.tensors import BrownianPath, Noise

    z = np.random.default_rng(0).normal(size=(3, 20000, 1))
    path = BrownianPath(Noise(lambda k: z[k]), torch.zeros(20000, 1, dtype=torch.float64))
    part, whole, after = (path(s, t).numpy().ravel() for s, t in ((5.0, 3.0), (5.0 + 1e-9, 2.0), (2.0, 1.0)))
    covariance = np.cov([part, whole, after])
    np.testing.assert_allclose(np.diag(covariance), 1, atol=0.03)
    assert covariance[0, 1] == pytest.approx(np.sqrt(2 / 3), abs=0.02)
    assert abs(covariance[0, 2]) < 0.03
    assert abs(covariance[1, 2]) < 0.03


def test_a_module_is_itself_again_after_a_run():
    import torch

    found = installed("diffusers")
    peer = next(p for p in found.peers if p.name == "EulerDiscrete")
    x = start(2)
    lifted = peer.run(mixed, x, SIGMAS, draws(*x.shape))
    native = peer.native(mixed, x, SIGMAS, draws(*x.shape))
    from diffusers.schedulers import scheduling_euler_discrete as module

    assert module.torch is torch
    assert torch.get_default_dtype() == torch.float32
    assert 1e-9 < apart(lifted, native) < 1e-5


def strong(peer):
    return measure_noise(as_subject(peer), "strong")


@pytest.mark.parametrize(
    "name", ["milstein", "srk", "srk, additive", "heun", "midpoint", "euler_heun", "reversible_heun"]
)
def test_torchsde_has_the_strong_orders_it_claims(name):
    """On our Brownian paths; euler is ours, number by number."""
    peer = next(p for p in installed("torchsde").peers if p.name == f"{name}, eta=1")
    report = strong(peer)
    assert report.verdict == "as claimed", report
    assert len(report.slopes) == 3


def test_an_area_that_is_left_out_costs_strong_order():
    peer = next(p for p in installed("torchsde").peers if p.name == "srk, additive, eta=1")

    def without(denoise, x, sigmas, noise):
        return peer.run(denoise, x, sigmas, lambda k: noise(k) * (k % 2 == 0))

    found = strong(replace(peer, run=without))
    assert (found.verdict, found.attained.order) == ("below claim: coefficients", pytest.approx(1, abs=0.1))


def test_every_sampler_of_a_small_library_is_examined():
    for peer in installed("torchsde").peers[:2]:
        record = examine(peer)
        assert record.verdict == "as claimed", record.findings
        assert record.evaluations == 1
        assert record.faults == []
