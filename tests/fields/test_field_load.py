from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from solverbench import fields
from solverbench.errors import UsageError


def test_importing_the_package_does_not_import_torch():
    code = "import sys, solverbench.fields as f; f.Gaussian, f.Dense, f.Field; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_resolve_and_others_do_not():
    for name in fields.__all__:
        assert getattr(fields, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Gausian'"):
        _ = fields.Gausian


def test_the_shipped_gaussian():
    field = fields.load("cifar10-gaussian")
    assert (field.shape, field.path.name) == ((3072,), "edm")
    z = field.sample(3, seed=0)
    pictures = field.pictures(z)
    assert pictures.shape == (3, 3, 32, 32)
    back = (pictures - field.pictures(0 * z)).reshape(3, -1) @ field._lift.value
    np.testing.assert_allclose(back, z[:, : back.shape[1]], atol=1e-5)


def test_the_shipped_mixture():
    field = fields.load("cifar10-mixture", "vp-cosine")
    assert (field.shape, field.path.name) == ((3, 32, 32), "vp-cosine")
    x = field.sample(4, seed=0, t=0.5)
    exact = field(x, 0.5)
    np.testing.assert_allclose(field(x.astype(np.float32), 0.5), exact, atol=2e-5)
    assert np.all(field.log_density(x, 0.5) > field.log_density(1.3 * x, 0.5))


def test_a_field_passes_through():
    field = fields.Gaussian([0.0], [1.0], "edm")
    assert fields.load(field) is field
    with pytest.raises(UsageError, match="keeps its path"):
        fields.load(field, "ve")
    with pytest.raises(UsageError, match="did you mean cifar10-gaussian"):
        fields.load("cifar10-gausian")
