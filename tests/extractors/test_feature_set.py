from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from viral.errors import ConfigError, WeightsError
from viral.extractors.encode import encode
from viral.extractors.extractor import Extractor, PostInput
from viral.extractors.feature_set import FEATURE_SETS, FeatureSet, UnavailableWarning
from viral.extractors.metadata import Metadata
from viral.weights.catalogue import CATALOGUE


@pytest.fixture(autouse=True)
def nothing_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def one(**params: object) -> FeatureSet:
    return FeatureSet.from_dict({"name": "one", "extractors": [{"name": "resnet50", "params": params}]})


def test_named_sets() -> None:
    light, full = FeatureSet.named("light"), FeatureSet.named("full")
    assert list(light.dims) == list(FEATURE_SETS["light"])
    assert list(full.dims.items())[:4] == list(light.dims.items())[:4]
    assert light.dims["efficientnet_lite0"] == 1280
    assert {"model": "multilingual-e5-small"} in [entry.to_dict()["params"] for entry in light.entries]
    assert full.dims["resnet50"] == 2048
    assert full.modalities["r2plus1d"] == "video"
    assert light.table == f"features/light-{light.fingerprint}"
    assert len(light.fingerprint) == 12
    assert set(light.requests) < set(full.requests)
    assert len(set(full.requests)) == len(full.requests)


def test_the_set_in_bfloat16_is_another_in_its_networks_alone() -> None:
    exact, coarse = (FeatureSet.named(name, weights="random") for name in ("full", "full-bf16"))
    assert exact.dims == coarse.dims
    differing = {name for name in exact.dims if exact.fingerprints[name] != coarse.fingerprints[name]}
    assert differing == {"resnet50", "r2plus1d"}
    assert coarse.table.startswith("features/full-bf16-random-")


def test_unknown_things_are_refused() -> None:
    for make, message in (
        (lambda: FeatureSet.named("heavy"), "choose from words, light, full"),
        (lambda: FeatureSet.named("words", weights="random"), "no extractor that takes weights"),
        (lambda: FeatureSet.named("full", weights={"caption": "x"}), "choose from resnet50, r2plus1d"),
        (lambda: FeatureSet.from_dict({"name": "a", "extractor": []}), "choose from name, extractors, fingerprint"),
        (lambda: FeatureSet.from_dict({"name": "a"}), "a feature set has the form"),
        (lambda: FeatureSet.from_dict({"name": "a", "extractors": []}), "has no extractors"),
        (lambda: FeatureSet.from_dict({"name": "a", "extractors": ["caption", "caption"]}), "twice"),
        (lambda: FeatureSet.from_dict({"name": "a", "extractors": [{"params": {}}]}), "needs a name"),
        (lambda: FeatureSet.from_dict({"name": "a", "extractors": [{"name": "caption", "opt": 1}]}), "no 'opt'"),
    ):
        with pytest.raises(ConfigError, match=message):
            make()


def test_fingerprints_stay() -> None:
    assert FeatureSet.named("full").fingerprint == FeatureSet.named("full").fingerprint
    assert one().fingerprint == one(weights="imagenet", frames=8).fingerprint
    described = json.loads(json.dumps(FeatureSet.named("full").to_dict()))
    assert FeatureSet.from_dict(described) == FeatureSet.named("full")
    renamed = replace(FeatureSet.named("light"), name="other")
    assert renamed.fingerprint == FeatureSet.named("light").fingerprint
    assert renamed.table != FeatureSet.named("light").table


def test_fingerprints_change_with_parameters_versions_and_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"one")
    seen = {
        one(**params).fingerprint for params in ({}, {"frames": 4}, {"precision": "bfloat16"}, {"weights": "random"})
    }
    assert len(seen) == 4
    from_file = one(weights=str(path)).fingerprint
    path.write_bytes(b"another")
    assert len({*seen, from_file, one(weights=str(path)).fingerprint}) == 6
    before = FeatureSet.named("light")
    assert before.fingerprint
    monkeypatch.setattr(Metadata, "revision", "2")
    after = FeatureSet.named("light")
    assert after.fingerprint != before.fingerprint
    changed = {name for name, each in after.fingerprints.items() if each != before.fingerprints[name]}
    assert changed == {"metadata"}


def test_the_place_of_a_weights_file_does_not_matter(tmp_path: Path) -> None:
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(b"same")
    assert one(weights=str(tmp_path / "a.pt")).fingerprint == one(weights=str(tmp_path / "b.pt")).fingerprint


def test_weights_by_uri_go_through_the_resolver(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"weights")
    there = {"s3://bucket/w.pt": path}
    by_uri = FeatureSet.named("full", weights={"resnet50": "s3://bucket/w.pt"}, resolve=there.__getitem__)
    by_path = FeatureSet.named("full", weights={"resnet50": str(path)})
    assert by_uri.fingerprint == by_path.fingerprint
    with pytest.raises(WeightsError, match=r"s3://bucket/w\.pt"):
        _ = FeatureSet.named("full", weights={"resnet50": "s3://bucket/w.pt"}).fingerprint


def test_a_set_that_is_another_here_is_refused() -> None:
    described = FeatureSet.named("light").to_dict()
    with pytest.raises(ConfigError, match="the same version of viral and the same weights"):
        FeatureSet.from_dict(described | {"fingerprint": "0" * 12})


def test_random_weights_are_in_the_name_of_everything() -> None:
    full = FeatureSet.named("full", weights="random")
    assert full.name == "full-random"
    assert full.table.startswith("features/full-random-")
    assert "resnet50 2-random" in str(full)
    assert "random" not in str(FeatureSet.named("full"))


def test_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    written = {"name": "mine", "extractors": ["caption", {"name": "craft", "params": {"dense": True}}]}
    path.write_text(yaml.safe_dump(written))
    mine = FeatureSet.load(path)
    assert mine.to_dict()["extractors"][1] == {"name": "craft", "params": {"dense": True}}
    for text, message in (("[1, 2]", "is not a feature set"), ("{a: [", "cannot read the feature set")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            FeatureSet.load(path)
    with pytest.raises(ConfigError, match="cannot read"):
        FeatureSet.load(tmp_path / "none.yaml")


def test_missing_weights_end_what_needs_them() -> None:
    full = FeatureSet.named("full")
    assert set(full.unavailable()) == {"resnet50", "r2plus1d"}
    with pytest.raises(WeightsError, match="viral weights fetch resnet50-imagenet"):
        full.build()
    assert FeatureSet.named("light").unavailable() == {}


@pytest.mark.parametrize("weights", ["imagenet", "/nowhere/w.pt"])
def test_optional_extractors_do_without(weights: str, samples: list[PostInput]) -> None:
    entries = ["metadata", {"name": "resnet50", "params": {"weights": weights}, "optional": True}]
    feature_set = FeatureSet.from_dict({"name": "some", "extractors": entries})
    assert FeatureSet.from_dict(feature_set.to_dict()).entries[1].optional
    with pytest.warns(UnavailableWarning, match="resnet50 is missing: "):
        built = feature_set.build()
    assert all(isinstance(each, Extractor) for each in built)
    assert list(feature_set.unavailable()) == ["resnet50"]
    result = encode(built, samples)
    assert result.errors == [{}, {}, {}]
    assert all(vectors["resnet50"] is None and vectors["metadata"] is not None for vectors in result.vectors)


def test_an_optional_extractor_without_weights_is_not_the_one_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a table of nothing would be taken for a table of vectors, once the weights are there."""
    monkeypatch.setenv("VIRAL_WEIGHTS", str(tmp_path))
    entries = [{"name": "resnet50", "params": {"weights": "imagenet"}, "optional": True}]
    without = FeatureSet.from_dict({"name": "some", "extractors": entries})
    missing = without.fingerprint
    known = CATALOGUE["resnet50-imagenet"]
    monkeypatch.setattr("viral.extractors.network.find_weights", lambda name, resolve: tmp_path / known.file)
    assert FeatureSet.from_dict({"name": "some", "extractors": entries}).fingerprint != missing


def test_survives_pickling() -> None:
    full = FeatureSet.named("full", weights="random")
    copy = pickle.loads(pickle.dumps(full))
    assert copy == full
    assert copy.table == full.table


def test_nothing_heavy_is_loaded_before_building() -> None:
    code = """
import sys, importlib, pkgutil
import viral.extractors
for module in pkgutil.iter_modules(viral.extractors.__path__):
    if module.name != "folded_network":  # a torch module, which only building imports
        importlib.import_module(f"viral.extractors.{module.name}")
from viral.extractors.feature_set import FeatureSet
full = FeatureSet.named("full", weights="random")
full.table, full.dims, full.modalities, full.requests, full.to_dict(), full.unavailable()
heavy = {"torch", "torchaudio", "torchvision", "transformers", "sentence_transformers", "sklearn", "av", "ray", "scipy"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
