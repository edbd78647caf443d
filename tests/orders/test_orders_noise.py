"""Weak orders of the samplers that draw noise, on a Gaussian field from their exact laws."""

from __future__ import annotations

import pytest

import solverbench as sb

WEAK = {  # solver: order of the variance, of the conditional mean's slope
    "ddpm-large": (1, "exact"),
    "reverse-diffusion": (1, "exact"),
    "reverse-diffusion[eta=0.5]": (1, 1),
    "seeds-1": (1, "exact"),
    "seeds-2": (2, "exact"),
    "seeds-2[eta=0.5]": (2, 2),
    "seeds-2[predicts=noise]": (2, 2),
    "seeds-3": (2, "exact"),
    "seeds-3[eta=0.5]": (2, 3),
    "exp-heun-2-x0-sde": (2, "exact"),
    "exp-heun-2-x0-sde[eta=0.5]": (2, 2),
    "sde-dpm-1": (1, 1),
    "sde-dpm-2m": (2, 2),
    "sde-dpm-2m[eta=0.5]": (2, 2),
    "sde-dpmpp-3m": (2, "exact"),
    "sde-dpmpp-3m[eta=0.3]": (2, 2),
    "er-sde-1[scale=sde]": (1, "exact"),
    "er-sde-2[scale=sde]": (2, "exact"),
    "er-sde-3[scale=sde]": (2, "exact"),
    "er-sde-3-newton[scale=sde]": (2, "exact"),
    "er-sde-3": (2, None),  # sde-5 is of no constant strength
    "euler-ancestral": (1, None),  # marginals of the order of the deterministic step, transitions of order one at best
    "euler-ancestral-rf": (1, None),
    "dpm-2-ancestral": (2, None),
    "dpmpp-2s-ancestral": (2, None),
    "dpmpp-2s-ancestral[eta=0.5]": (2, None),
    "dpmpp-2s-ancestral[levels=time]": (2, None),
    "sde-dpmpp-2s": (2, "exact"),
    "sde-dpmpp-2s[eta=0.5]": (2, 1),  # an ancestral step of this strength is the process to first order
    "euler-churn[s_noise=1,s_max=100,s_churn=5]": (1, None),  # churn is no reverse process of one strength
    "dpm-2-churn[s_noise=1,s_max=100,s_churn=5]": (2, None),
}


@pytest.mark.parametrize("name", WEAK)
def test_weak_orders(name):
    weak = sb.order(name).weak
    variance, mean = WEAK[name]
    assert abs(weak["variance"].order - variance) + weak["variance"].half < 0.15
    if mean == "exact":
        assert weak["mean"].exact
    elif mean is not None:
        assert abs(weak["mean"].order - mean) + weak["mean"].half < 0.15
