from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group

from solverbench.errors import UsageError
from solverbench.fields.basis import Dense, Identity, Separable, basis_for


def rotation(n, seed=0):
    return np.array([[1.0]]) if n == 1 else ortho_group.rvs(n, random_state=seed)


FACTORS = [rotation(3, 1), rotation(4, 2), rotation(5, 3)]
STATES = np.random.default_rng(0).normal(size=(6, 3, 4, 5))


def test_separable_is_the_kronecker_product():
    kronecker = np.kron(np.kron(FACTORS[0], FACTORS[1]), FACTORS[2])
    z = Separable(FACTORS).forward(STATES)
    np.testing.assert_allclose(z, STATES.reshape(6, 60) @ kronecker.T, atol=1e-14)
    np.testing.assert_allclose(z, Dense(kronecker.T, (3, 4, 5)).forward(STATES), atol=1e-14)


BASES = [Identity((3, 4, 5)), Dense(rotation(60), (3, 4, 5)), Separable(FACTORS)]


@pytest.mark.parametrize("basis", BASES, ids=lambda basis: type(basis).__name__)
@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def test_inverse_undoes_forward(basis, convert):
    x = convert(STATES)
    z = basis.forward(x)
    assert z.shape == (6, 60)
    np.testing.assert_allclose(np.asarray(basis.inverse(z)), STATES, atol=1e-14)
    np.testing.assert_allclose((np.asarray(z) ** 2).sum(1), (STATES**2).reshape(6, -1).sum(1), rtol=1e-13)


def test_dtype_is_kept_and_empty_batches_pass():
    for basis in (Identity((3, 4, 5)), Dense(rotation(60), (3, 4, 5)), Separable(FACTORS)):
        for x in (STATES.astype(np.float32), STATES.astype(np.longdouble), torch.as_tensor(STATES).float(), STATES[:0]):
            back = basis.inverse(basis.forward(x))
            assert back.dtype == x.dtype
            assert back.shape == x.shape


def test_a_matrix_stored_in_single_precision_is_made_exact():
    basis = Dense(rotation(60).astype(np.float32))
    x = STATES.reshape(6, 60)
    np.testing.assert_allclose(basis.inverse(basis.forward(x)), x, atol=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dense(np.ones((2, 3))), "must be square"),
        (lambda: Dense(np.ones((2, 2))), "must be orthonormal"),
        (lambda: Dense([[np.nan]]), "must be finite"),
        (lambda: Dense(np.eye(4), (3,)), "does not fit"),
        (lambda: Separable([np.eye(2), 2 * np.eye(3)]), "factor 1 .* must be orthonormal"),
        (lambda: Separable([]), "a factor per axis"),
        (lambda: basis_for(Separable([np.eye(2)]), (3,), (3,)), r"for states of shape \(2,\), not \(3,\)"),
        (lambda: basis_for(None, None, ()), "one or more axes"),
    ],
)
def test_errors(make, message):
    with pytest.raises(UsageError, match=message):
        make()
