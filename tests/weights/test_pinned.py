"""Pinned URIs of weights below a root, in a folder and on S3."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from viral.errors import WeightsError
from viral.extractors.feature_set import FeatureSet
from viral.storage.store import Store
from viral.weights.pinned import pin_uri, split_pinned
from viral.weights.root import SCHEME, RootWeights

KEY, CONTENT = "models/video/0001/backbone.safetensors", b"tensors"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = pin_uri(f"{SCHEME}{KEY}", DIGEST)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path / "weights"))


def test_weights_below_a_root_are_found_by_either_name(any_store: Store) -> None:
    any_store.write(KEY, CONTENT)
    resolve = RootWeights(any_store)
    path = resolve(NAME)
    assert path.read_bytes() == CONTENT
    assert path.suffix == ".safetensors"
    assert resolve(pin_uri(any_store.uri(KEY), DIGEST)) == path
    assert any_store.on_s3 or path == Path(any_store.root, KEY)  # in place


def test_other_bytes_and_none_are_refused(any_store: Store) -> None:
    resolve = RootWeights(any_store)
    with pytest.raises(WeightsError, match="there are no weights at"):
        resolve(NAME)
    any_store.write(KEY, b"others")
    with pytest.raises(WeightsError, match=f"do not have the SHA-256 {DIGEST[:12]}"):
        resolve(NAME)
    with pytest.raises(WeightsError, match="does not end in a SHA-256"):
        split_pinned(f"{KEY}#sha256=123")


def test_a_set_is_known_by_the_hash_in_the_name_without_the_file(tmp_path: Path) -> None:
    def named(weights: str) -> FeatureSet:
        return FeatureSet.from_dict(
            {"name": "tuned", "extractors": [{"name": "r2plus1d", "params": {"weights": weights}}]}
        )

    path = tmp_path / "backbone.safetensors"
    path.write_bytes(CONTENT)
    assert named(NAME).fingerprint == named(pin_uri("s3://other/place", DIGEST)).fingerprint
    assert named(NAME).fingerprint == named(str(path)).fingerprint
    assert named(NAME).fingerprint != named(pin_uri(f"{SCHEME}{KEY}", "0" * 64)).fingerprint
    assert FeatureSet.from_dict(named(NAME).to_dict()).fingerprint == named(NAME).fingerprint
