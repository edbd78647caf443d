"""The Frechet distance beside pytorch-fid's formula (scipy.linalg.sqrtm of the product), both from mean and covariance
or features in memory. Run with `--benchmark-enable`; SciPy's version and the threads of BLAS are printed with the
ratios, since sqrtm became three times slower in SciPy 1.16."""

import numpy as np
import pytest
import scipy
import scipy.linalg
from threadpoolctl import threadpool_info

from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Normal


def textbook(m, C, n, D):
    return np.sum((m - n) ** 2) + np.trace(C) + np.trace(D) - 2 * np.trace(scipy.linalg.sqrtm(C @ D).real)


def features(d, n, seed):
    rng = np.random.default_rng(seed)
    spectrum = np.arange(1, d + 1) ** -0.5
    return np.maximum(rng.normal(size=(n, d)) * spectrum @ rng.normal(size=(d, d)), 0)


@pytest.fixture
def enabled(request):
    option = request.config.getoption
    return option("benchmark_enable") or not option("benchmark_disable")


def threads():
    counts = {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}
    return f"; SciPy {scipy.__version__}, BLAS threads {sorted(counts)}"


@pytest.mark.parametrize(("d", "n", "target"), [(64, 4000, 1), (2048, 8000, 8), (2048, 256, 50)])
def test_bench_frechet_to_a_reference(side_by_side, enabled, d, n, target):
    if d > 64 and not enabled:
        pytest.skip("sqrtm took 73 s a call at d = 2048, n = 256: run with --benchmark-enable")
    x, y = features(d, n, 1), features(d, 6000, 2)
    reference = Normal.of(y)
    frechet(Normal.of(x), reference)  # factors the reference
    known = x.mean(0), np.cov(x.T), y.mean(0), np.cov(y.T)

    def ours():  # from the samples where they are fewer than dimensions, else from the covariance, as theirs
        return frechet(Normal.of(x) if n < d else Normal(*known[:2]), reference)

    median = side_by_side(
        f"Frechet distance, d = {d}, n = {n}",
        {"ours": ours, "sqrtm": lambda: textbook(*known)},
        rounds=3 if d > 64 else 25,
        note=lambda m: threads(),
    )
    assert ours() == pytest.approx(textbook(*known), rel=1e-6 if n > d else 1e-4)
    if enabled:
        assert median["sqrtm"] > target * median["ours"]
