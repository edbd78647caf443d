"""Distances in features: what the file says, blind to what bytes cannot hold, and safe with other files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.linalg
import small

from solverbench.errors import ArtifactError
from solverbench.measures.features import Extractor
from solverbench.measures.frechet import frechet
from solverbench.measures.moments import Normal
from solverbench.pictures import as_pictures, as_states


@pytest.fixture(scope="module")
def extract(extractor_file):
    return Extractor(extractor_file)


def test_every_byte_survives_the_way_there_and_back():
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(as_pictures(as_states(every)), every)


def test_features_are_those_of_the_rounded_clipped_picture(extract, rng):
    x = rng.normal(size=(7, 3, 32, 32))
    np.testing.assert_array_equal(extract(x), extract(as_states(as_pictures(x))))
    assert extract(x).shape == (7, 12)
    assert extract(x).dtype == np.float64


def test_the_distance_is_the_textbook_formula(extract):
    features = extract(small.pictures().sample(100, seed=3))
    mean, covariance = features.mean(0), np.cov(features.T)
    root = scipy.linalg.sqrtm(covariance @ extract.data.covariance).real
    expected = np.sum((mean - extract.data.mean) ** 2) + np.trace(covariance + extract.data.covariance - 2 * root)
    assert frechet(Normal.of(features), extract.data) == pytest.approx(expected, rel=1e-6)
    assert frechet(Normal.of(features), Normal.of(features)) == pytest.approx(0, abs=1e-9)


def test_samples_of_the_data_are_nearer_than_others(extract):
    same, other = extract(small.pictures().sample(200, seed=4)), extract(small.pictures().sample(200, seed=4) * 0.7)
    assert 5 * frechet(Normal.of(same), extract.data) < frechet(Normal.of(other), extract.data)


@pytest.mark.parametrize(("change", "message"), [
    ({"network": {"widths": [8, 16]}}, "does not fit the network of its card"),
    ({"network": {"widths": []}}, "no network that can be built"),
    ({"network": {"depth": 1}}, "no network that can be built"),
    ({"sha256": "0" * 64}, "damaged or altered"),
])  # fmt: skip
def test_files_that_are_not_what_they_say_are_refused(extractor_file, tmp_path, change, message):
    path = tmp_path / extractor_file.name
    path.write_bytes(extractor_file.read_bytes())
    card = json.loads(extractor_file.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | change))
    with pytest.raises(ArtifactError, match=message):
        Extractor(path)


def test_a_network_of_another_kind_is_refused(tmp_path):
    made = small.extractor()
    del made.tensors["statistics.mean"]
    with pytest.raises(ArtifactError, match=r"has no statistics\.mean: it is no feature extractor"):
        Extractor(made.write(tmp_path)[0])
