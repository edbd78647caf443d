"""EM against dense algebra and known laws; the command, killed and resumed, on a handful of images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import load_file
from scipy.stats import multivariate_normal

from solverbench.pretrain import mixture as module
from solverbench.pretrain.__main__ import main
from solverbench.pretrain.basis import dct, fit_basis
from solverbench.pretrain.em import Mixture, em_step, log_joint, log_likelihood, principal_factors
from solverbench.pretrain.mixture import QUANTUM, Settings, bits_per_dimension, dequantise, pack, unpack


def smooth_images(n, seed):
    """Random-contrast images with an image-like spectrum."""
    rng = np.random.default_rng(seed)
    frequency = 1 / (1 + np.arange(32)[:, None] + np.arange(32)[None, :]) ** 1.5
    z = rng.normal(size=(n, 3, 32, 32)) * frequency * np.exp(rng.normal(size=(n, 1, 1, 1)))
    return np.clip(128 + 200 * (dct(32).T @ z @ dct(32)), 0, 255).astype(np.uint8)


def toy(K=3, D=7, q=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand(K, generator=g, dtype=torch.float64) + 0.5
    means, factors = 3 * torch.randn(K, D, generator=g), torch.randn(K, D, q, generator=g)
    diagonal = 0.2 + torch.rand(K, D, generator=g)
    return Mixture(weights / weights.sum(), means, diagonal, factors)


def draw(mixture, n, seed=0):
    g = torch.Generator().manual_seed(seed)
    k = torch.multinomial(mixture.weights, n, replacement=True, generator=g)
    latent = torch.randn(n, mixture.factors.shape[2], generator=g)
    noise = torch.randn(n, mixture.means.shape[1], generator=g) * mixture.diagonal[k].sqrt()
    return mixture.means[k] + torch.einsum("ndq,nq->nd", mixture.factors[k], latent) + noise


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_densities_are_those_of_the_dense_covariances(dtype, tolerance):
    mixture = toy().to(dtype)
    rows = draw(toy(), 50).to(dtype)
    for k in range(3):
        U = mixture.factors[k].double().numpy()
        law = multivariate_normal(mixture.means[k].numpy(), np.diag(mixture.diagonal[k].double().numpy()) + U @ U.T)
        expected = law.logpdf(rows.double().numpy()) + np.log(float(mixture.weights[k]))
        np.testing.assert_allclose(log_joint(mixture, rows)[:, k], expected, atol=tolerance, rtol=tolerance)


def test_em_never_lowers_the_likelihood_and_recovers_the_law():
    truth, rows = toy(), draw(toy(), 4000)
    g = torch.Generator().manual_seed(5)
    mixture = Mixture(
        torch.full((3,), 1 / 3, dtype=torch.float64),
        truth.means + torch.randn(3, 7, generator=g),
        torch.ones(3, 7),
        0.1 * torch.randn(3, 7, 2, generator=g),
    )
    scores = []
    for _ in range(60):
        mixture, score = em_step(mixture, rows, 1e-3, 4)
        scores.append(score)
    assert min(np.diff(scores)) > -1e-3
    assert float(mixture.weights.sum()) == pytest.approx(1, abs=1e-12)
    fresh = draw(truth, 4000, seed=9)
    lost = log_likelihood(truth, fresh).mean() - log_likelihood(mixture, fresh).mean()
    assert float(lost) < 0.05


def test_the_floor_holds():
    rows = draw(toy(), 500) * torch.tensor([1e-6] + [1.0] * 6)
    mixture, _ = em_step(toy(), rows, 0.01, 3)
    assert float(mixture.diagonal.min()) >= np.float32(0.01)


def test_principal_factors_find_the_leading_direction():
    g = torch.Generator().manual_seed(1)
    loading = torch.linspace(1, 3, 20)
    rows = torch.randn(5000, 1, generator=g) * loading + torch.randn(5000, 20, generator=g)
    _, factors = principal_factors(rows / 5000**0.5, 1, 1e-3, 0)
    assert float(torch.nn.functional.cosine_similarity(factors[:, 0].abs(), loading, 0)) > 0.98


def test_the_basis_is_orthogonal_and_matches_its_definition():
    images = smooth_images(20, 0)
    basis = fit_basis(images)
    for matrix in (basis.colour, basis.frequency):
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-14)
    x = torch.randn(4, 3072, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = np.einsum(
        "ac,ih,jw,nchw->naij", basis.colour, basis.frequency, basis.frequency, x.numpy().reshape(-1, 3, 32, 32)
    )
    z = basis.to_coordinates(x)
    np.testing.assert_allclose(z.numpy(), expected.reshape(4, 3072), atol=1e-12)
    np.testing.assert_allclose(basis.to_pixels(z).numpy(), x.numpy(), atol=1e-12)


def test_packing_keeps_the_law_up_to_stored_precision():
    basis = fit_basis(smooth_images(20, 0))
    mixture = toy(K=2, D=3072, q=2)
    back, _ = unpack(pack(mixture, basis))
    for key, tolerance in (("weights", 1e-15), ("means", 1e-5), ("diagonal", 0), ("factors", 3e-3)):
        np.testing.assert_allclose(getattr(back, key), getattr(mixture, key).double(), atol=tolerance)


def test_dequantisation_is_one_byte_wide_and_centred():
    images = np.full((20, 3, 32, 32), 100, np.uint8)
    off = dequantise(images, 0, 0).astype(np.float64) + 1 - 100 / 127.5
    assert np.abs(off).max() <= 0.5 / 127.5 + 1e-6
    assert off.var() == pytest.approx(QUANTUM, rel=0.02)
    assert abs(off.mean()) < 1e-4
    assert not np.array_equal(dequantise(images, 0, 0), dequantise(images, 0, 1))


def test_a_uniform_law_over_the_bytes_costs_eight_bits():
    assert bits_per_dimension(-3072 * np.log(256 / 127.5)) == pytest.approx(8)


@pytest.fixture
def folder(tmp_path, write_pictures):
    write_pictures(tmp_path / "data" / "train", smooth_images(60, 0))
    write_pictures(tmp_path / "data" / "test", smooth_images(20, 1))
    return tmp_path


def test_the_command_writes_a_whole_artifact_and_says_how_it_goes(folder, monkeypatch):
    arguments = ["mixture", "--data", str(folder / "data"), "--out", str(folder / "out"), "--smoke"]
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "log-likelihood" in result.stderr
    assert result.stdout.split() == [str(folder / "out" / f"cifar10-mixture.{s}") for s in ("safetensors", "json")]
    tensors = load_file(folder / "out" / "cifar10-mixture.safetensors")
    card = json.loads((folder / "out" / "cifar10-mixture.json").read_text())
    assert tensors["weights"].sum() == pytest.approx(1, abs=1e-14)
    assert tensors["diagonal"].min() >= np.float32(QUANTUM)
    assert np.isfinite(list(card["measurements"].values())).all()
    assert card["settings"]["components"] == 3


def test_smoke_runs_write_to_the_cache_unless_told_otherwise(folder, monkeypatch):
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["mixture", "--data", "data", "--smoke"])
    assert result.exit_code == 0, result.output
    assert {p.name for p in folder.iterdir()} == {"data", ".cache"}


def test_a_missing_data_set_is_a_usage_error(tmp_path):
    result = CliRunner().invoke(main, ["mixture", "--data", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "no CIFAR-10" in result.stderr


class KilledError(Exception):
    pass


@pytest.mark.parametrize("damage", [False, True], ids=["intact", "damaged"])
def test_a_killed_fit_resumes_on_the_same_path(tmp_path, damage):
    images = smooth_images(60, 0)
    rows = fit_basis(images).to_coordinates(torch.from_numpy(dequantise(images, 0, 0)))
    settings = Settings(components=2, rank=2, iterations=5, tolerance=-np.inf)
    whole, done = module.fit(rows, settings, 0, tmp_path / "whole.safetensors", lambda _: None)
    assert done == 5

    def kill(line):
        if line.startswith("iteration 4"):
            raise KilledError

    path, said = tmp_path / "killed.safetensors", []
    with pytest.raises(KilledError):
        module.fit(rows, settings, 0, path, kill)
    if damage:
        path.write_bytes(path.read_bytes()[:1000])
    resumed, _ = module.fit(rows, settings, 0, path, said.append)
    assert said[0].startswith("ignoring an unreadable checkpoint" if damage else "resuming after iteration 3")
    for key, tensor in vars(whole).items():
        assert torch.equal(tensor, getattr(resumed, key)), key
