"""Schedulers for consistency models: exact in law with exact jumps, and a fault of one is seen."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from solverbench.orders.impulse import respond
from solverbench.orders.problems import NONLINEAR, gaussian, mixed
from solverbench.orders.ruler import apart
from solverbench.peers.checks import SIGMAS

pytest.importorskip("diffusers", reason="an audit of diffusers needs it")
from solverbench.peers import few_step

RULES = dict(few_step._rules())
VARIANCE = np.array(gaussian.variance)


def departure(rule):
    """Of the variance at the end from the exact one, at worst, relative."""
    found = respond(partial(rule.run, True), gaussian, SIGMAS, VARIANCE.size, draws=len(SIGMAS))
    _, end = found.kernel.push(0 * VARIANCE, VARIANCE + SIGMAS[0] ** 2)
    return np.abs(end / (VARIANCE + SIGMAS[-1] ** 2) - 1).max()


@pytest.mark.parametrize("name", RULES)
def test_laws_are_exact(name):
    assert departure(RULES[name]) < 1e-10


def test_a_map_that_lands_elsewhere_is_seen():
    """A boundary function that is not undone; jumps that stop short of the data."""
    rule = RULES["LCM"]
    assert departure(replace(rule, output=lambda scheduler, t, s, y, landing: landing(0.0))) > 1e-8
    assert departure(replace(rule, output=lambda scheduler, t, s, y, landing: landing(0.3))) > 1e-2


def test_wrong_noise_is_seen():
    rule = RULES["CMStochasticIterative"]
    assert departure(replace(rule, options={**rule.options, "s_noise": 1.01})) > 1e-3


def test_the_flow_of_a_mixture_takes_rows_by_themselves():
    x = np.random.default_rng(0).normal(size=(3, NONLINEAR.stop + VARIANCE.size)) * 5
    together = mixed.jump(x, 5.0, 0.5)
    assert apart(together, np.concatenate([mixed.jump(row[None], 5.0, 0.5) for row in x])) == 0
