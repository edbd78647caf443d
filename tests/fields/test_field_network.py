"""A network as a field: arrays of every kind, guidance, labels, and what it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import solverbench as sb
from solverbench.errors import UsageError
from solverbench.fields import Field, Gaussian
from solverbench.fields.network import CHUNK, NetworkField

SHAPE = (3, 4, 4)


def classes(x, t, label):
    """Answers (label + 1) x / (1 + t^2); unconditional (label 3) is 4."""
    return (label + 1)[:, None, None, None] * x / (1 + t * t)


def field(network=classes, **options):
    return NetworkField(network, "edm", SHAPE, **({"labels": 3} | options))


@pytest.mark.parametrize("n", [0, 1, CHUNK, 2 * CHUNK + 1])
@pytest.mark.parametrize("kind", [np.float64, np.float32, torch.float64, torch.float32, torch.bfloat16])
def test_arrays_come_back_in_kind(kind, n, rng):
    x = rng.normal(size=(n, *SHAPE))
    x = torch.from_numpy(x).to(kind) if isinstance(kind, torch.dtype) else x.astype(kind)
    y = field()(x, 1.0)
    assert type(y) is type(x)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    close = 1e-2 if kind == torch.bfloat16 else 1e-5
    torch.testing.assert_close(torch.as_tensor(y), 2 * torch.as_tensor(x), rtol=close, atol=0)


def test_the_network_is_asked_in_its_own_precision(rng):
    seen = []

    def network(x, t, label):
        seen.append((x.dtype, type(t), label))
        return x

    made = NetworkField(network, "edm", SHAPE, dtype="float64")
    made(rng.normal(size=(2, *SHAPE)).astype(np.float32), np.float64(0.5))
    assert seen == [(torch.float64, float, None)]
    assert isinstance(made, Field)


@pytest.mark.parametrize(("label", "guidance", "factor", "evaluations"), [
    (None, None, 4, 1), (1, None, 2, 1), (1, 1.0, 2, 1), (1, 0.0, 4, 2), (1, 3.0, 4 + 3 * (2 - 4), 2),
])  # fmt: skip
def test_guidance_extrapolates_and_is_counted(label, guidance, factor, evaluations, rng):
    made = field(label=label, guidance=guidance)
    x = rng.normal(size=(2, *SHAPE))
    np.testing.assert_allclose(made(x, 0.0), factor * x, rtol=1e-5, atol=1e-6)
    assert made.evaluations == evaluations
    assert sb.sample(made, "ddim", [2.0, 1.0, 0.5], x).nfe == 2 * evaluations


@pytest.mark.parametrize(("options", "message"), [
    ({"label": 3}, r"label 3 .*0 to 2"),
    ({"label": -1}, r"label -1"),
    ({"label": 0, "labels": 0}, "no classes"),
    ({"guidance": 2.0}, "needs a label"),
    ({"prediction": "x_0"}, "did you mean x0"),
])  # fmt: skip
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        field(**options)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 4), (-1,), (2.5,), 3])
def test_a_state_without_numbers_is_refused(shape):
    with pytest.raises(UsageError, match=f"for one or more axes, got {re.escape(repr(shape))}"):
        NetworkField(classes, "edm", shape)


def test_a_wrong_answer_is_an_error_and_nan_is_a_result(rng):
    x = rng.normal(size=(2, *SHAPE))
    for wrong in (lambda x, t, c: x[:, :1], lambda x, t, c: None):
        with pytest.raises(UsageError, match=r"answered states of shape \(2, 3, 4, 4\) with"):
            field(wrong)(x, 1.0)
    assert np.isnan(field(lambda x, t, c: x * float("nan"))(x, 1.0)).all()
    with pytest.raises(UsageError, match="takes states of shape"):
        field()(x[:, :2], 1.0)


def test_solvers_run_on_it_as_on_the_field_it_wraps(rng):
    gaussian = Gaussian(rng.normal(size=SHAPE), np.ones(48) * 0.3, "edm")
    made = NetworkField(lambda x, t, c: gaussian(x, t), "edm", SHAPE, dtype="float64")
    x = 80 * rng.normal(size=(3, *SHAPE))
    grid = sb.grid("edm", "edm", steps=5)
    expected = sb.sample(gaussian, "unipc-2", grid, x).x
    np.testing.assert_allclose(sb.sample(made, "unipc-2", grid, x).x, expected, atol=1e-12)
