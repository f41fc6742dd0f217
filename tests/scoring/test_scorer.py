"""Scoring: a post gets the same score on any machine and in any batch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from viral.datasets.streams import Stream, from_vectors, streams_of
from viral.errors import TableError, UsageError
from viral.extractors.extractor import Vector
from viral.extractors.feature_set import FeatureSet
from viral.models.fusion_config import FusionConfig
from viral.models.networks import FUSIONS, network
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.scorer import BLOCK, Score, Scorer
from viral.storage.store import Store

Post = dict[str, Vector | None]
MINI = FeatureSet.from_dict({"name": "mini", "extractors": ["metadata", "caption", "acoustics"]})
MEAN, SCALE = 10.0, 2.0


def saved(
    streams: tuple[Stream, ...], gates: dict[str, float] | None = None, architecture: str = "gated", **card: Any
) -> ModelVersion:
    """A model with random weights, and the card that training writes."""
    torch.manual_seed(0)
    config = FusionConfig(streams, gates=gates, architecture=architecture)
    model = network(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.1)
    content = {
        "kind": "network",
        "config": asdict(config),
        "target": {"mean": MEAN, "scale": SCALE},
        "feature_set": MINI.to_dict(),
        "label": {"spec": {"definition": "log_views"}},
        "notes": ["trained on a synthetic corpus"],
        **card,
    }
    return ModelVersion("fusion", 3, json.loads(json.dumps(content)), save(model.state_dict()))


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(saved(streams_of(MINI)))


def some_posts(count: int, streams: tuple[Stream, ...], seed: int = 0) -> list[Post]:
    """Random posts that have at least the first stream."""
    rng = np.random.default_rng(seed)

    def vector(stream: Stream) -> Vector | None:
        if stream is not streams[0] and rng.random() < 0.3:
            return None
        return rng.normal(size=stream.dim).astype(np.float32)

    return [{stream.name: vector(stream) for stream in streams} for _ in range(count)]


def test_a_score_by_hand(scorer: Scorer) -> None:
    post: Post = {stream.name: np.linspace(-1, 1, stream.dim, dtype=np.float32) for stream in scorer.streams}
    post["caption"] = None
    (score,) = scorer.score([post])
    model = network(FusionConfig(scorer.streams)).eval()
    model.load_state_dict(load(scorer.saved.weights))
    batch = from_vectors(scorer.streams, [post])
    with torch.inference_mode():
        output = model(
            {name: torch.from_numpy(array) for name, array in batch.vectors.items()}, torch.from_numpy(batch.present)
        )
    assert score.probability == pytest.approx(float(output.logit.sigmoid()), abs=1e-5)
    expected = [float(value) * SCALE + MEAN for value in output.quantiles[0]]
    assert [score.low, score.score, score.high] == pytest.approx(expected, abs=1e-4)
    assert score.low < score.score < score.high
    assert list(score.rates) == ["likes", "comments", "shares"]
    assert list(score.rates.values()) == pytest.approx(output.rates[0].tolist(), abs=1e-5)
    assert list(score.modalities) == ["metadata", "audio"]
    assert sum(score.modalities.values()) == pytest.approx(1)
    assert list(score.modalities.values()) == pytest.approx(
        [float(output.contributions[0][0]), float(output.contributions[0][2])]
    )
    assert score.missing == ("text",)
    assert (score.label, score.model) == ("log_views", "fusion/3")
    assert score.notes == ("trained on a synthetic corpus",)


LARGE = (Stream("a", "x", 40), Stream("b", "y", 384), Stream("c", "z", 2048))


def test_a_score_does_not_depend_on_its_neighbours() -> None:
    scorer = Scorer(saved(LARGE))
    posts = some_posts(3 * BLOCK + 5, LARGE)
    together = scorer.score(posts)
    assert len(together) == len(posts)
    for index in range(0, len(posts), 5):
        assert scorer.score([posts[index]]) == [together[index]]  # to the last bit
    shuffled = np.random.default_rng(1).permutation(len(posts))
    assert scorer.score([posts[index] for index in shuffled]) == [together[index] for index in shuffled]


def test_a_score_does_not_depend_on_the_number_of_threads() -> None:
    """To the last bit on some processors; on others the matrix library sums in an order that depends on it."""
    scorer, posts, threads = Scorer(saved(LARGE)), some_posts(BLOCK, LARGE), torch.get_num_threads()
    try:
        scores = []
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            scores.append(scorer.score(posts))
    finally:
        torch.set_num_threads(threads)
    for others in scores[1:]:
        for score, other in zip(scores[0], others, strict=True):
            assert score.probability == pytest.approx(other.probability, abs=1e-6)
            assert (score.low, score.score, score.high) == pytest.approx((other.low, other.score, other.high), rel=1e-6)


def test_every_subset_of_streams_is_scored(scorer: Scorer) -> None:
    (whole,) = some_posts(1, scorer.streams)
    whole = {stream.name: np.ones(stream.dim, np.float32) for stream in scorer.streams}
    names = list(whole)
    for subset in range(1, 1 << len(names)):
        post = {name: whole[name] if subset >> bit & 1 else None for bit, name in enumerate(names)}
        (score,) = scorer.score([post])
        numbers = [score.probability, score.low, score.score, score.high, *score.rates.values()]
        assert np.isfinite(numbers).all()
        assert len(score.modalities) == subset.bit_count()
        assert len(score.missing) == len(names) - subset.bit_count()


def test_streams_of_one_modality_share_its_weight() -> None:
    streams = (Stream("resnet50", "image", 4), Stream("craft", "image", 3), Stream("caption", "text", 2))
    scorer = Scorer(saved(streams, gates={"resnet50": 1.0, "craft": 2.0, "caption": 1.0}))
    (whole,) = scorer.score([{stream.name: np.ones(stream.dim, np.float32) for stream in streams}])
    assert whole.modalities == pytest.approx({"image": 0.75, "text": 0.25})
    (one,) = scorer.score([{"craft": np.ones(3, np.float32)}])
    assert (one.modalities, one.missing) == ({"image": 1.0}, ("text",))


def test_nothing_to_score(scorer: Scorer) -> None:
    assert scorer.score([]) == []
    (post,) = some_posts(1, scorer.streams)
    with pytest.raises(UsageError, match=r"a post needs at least one of metadata, text, audio$"):
        scorer.score([post, dict.fromkeys(MINI.dims)])


def test_vectors_of_another_feature_set_are_refused(scorer: Scorer) -> None:
    scorer.check(MINI)
    assert scorer.feature_set == MINI
    other = FeatureSet.from_dict({"name": "other", "extractors": ["metadata"]})
    with pytest.raises(TableError) as caught:
        scorer.check(other)
    assert str(caught.value) == (
        f"model fusion/3 was trained on feature set mini-{MINI.fingerprint}, not on other-{other.fingerprint}: "
        "backfill and score with mini"
    )
    with pytest.raises(TableError, match="a vector of metadata does not have"):
        scorer.score([{"metadata": np.ones(3, np.float32)}])


ELSEWHERE = """
import json, sys
from dataclasses import asdict
import numpy as np
from viral.scoring.scorer import Scorer
from viral.storage.store import Store
arrays = np.load(sys.argv[2])
posts = [{} for _ in range(int(arrays["count"]))]
for name in arrays:
    if name != "count":
        row, stream = name.split(" ")
        posts[int(row)][stream] = arrays[name]
store = Store(sys.argv[1])
scorers = {name: Scorer.load(store, name) for name in sys.argv[3:]}
print(json.dumps({name: [asdict(score) for score in scorer.score(posts)] for name, scorer in scorers.items()}))
"""


def test_saved_and_loaded_elsewhere_each_scores_the_same(folder_store: Store, tmp_path: Path) -> None:
    for architecture in FUSIONS:
        model = saved(streams_of(MINI), architecture=architecture)
        assert Registry(folder_store).save(architecture, model.card, model.weights) == 1
    posts = some_posts(20, streams_of(MINI))
    arrays = {f"{row} {name}": v for row, post in enumerate(posts) for name, v in post.items() if v is not None}
    np.savez(tmp_path / "posts.npz", count=len(posts), **arrays)
    command = [sys.executable, "-c", ELSEWHERE, folder_store.root, str(tmp_path / "posts.npz"), *FUSIONS]
    output = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    tuples = ("missing", "notes")
    for name in FUSIONS:
        scores = [
            Score(**{key: tuple(v) if key in tuples else v for key, v in fields.items()}) for fields in output[name]
        ]
        assert scores == Scorer.load(folder_store, f"{name}/1").score(posts)
