"""The client and `viral score --endpoint` against the real endpoint: the same numbers on every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import viral
from tests.serve.conftest import KEY
from viral.config import Settings
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Score, Scorer
from viral.storage.store import Store

Check = Callable[..., Any]


@pytest.fixture(scope="module")
def client(endpoint: Callable[[], str]) -> Iterator[viral.Client]:
    with viral.Client(endpoint(), api_key=KEY) as client:
        yield client


@pytest.fixture(scope="module")
def expected(root: Path) -> Iterator[Callable[[Path | None, str | None], Score]]:
    """What the pipeline and the scorer say, on one thread as in the endpoint."""
    store, threads = Store.open(root), torch.get_num_threads()
    torch.set_num_threads(1)
    scorer = Scorer.load(store, "tiny")
    with Pipeline(scorer.feature_set, store, Settings()) as pipeline:
        yield lambda path, caption: scorer.score(
            [pipeline.extract_draft(str(path) if path else None, Context(caption=caption)).vectors]
        )[0]
    torch.set_num_threads(threads)


@pytest.mark.parametrize("caption", [None, "", "You won't believe it #fyp"])
def test_every_way_gives_the_same_score(client: viral.Client, clip: Path, expected: Check, caption: str | None) -> None:
    words = {} if caption is None else {"caption": caption}
    uri = f"videos/{clip.name}"
    job = client.wait(client.score_batch([{"uri": uri, **words}]).id, timeout=60)
    scores = [client.score(clip, **words), client.score(uri=uri, **words), job.results[0].score]
    scores += list(client.score_many([{"file": clip, **words}], concurrency=2))
    true = expected(clip, caption)
    for score in scores:
        assert score.score == pytest.approx(true.score, abs=1e-6)
        assert score.probability == pytest.approx(true.probability, abs=1e-6)


def test_explanations_and_comparisons(client: viral.Client, clip: Path, silent: Path, expected: Check) -> None:
    explained = client.explain(clip, caption="a")
    assert explained.explanation
    assert explained.score == pytest.approx(expected(clip, "a").score, abs=1e-6)
    ranking = client.compare([clip, silent], caption="a")
    assert {Path(each.name).name for each in ranking} == {clip.name, silent.name}
    assert ranking[0].score.score >= ranking[1].score.score


def test_vectors_posts_and_models(client: viral.Client, root: Path) -> None:
    (model,) = client.models()
    assert (model.name, model.default) == ("tiny/1", True)
    streams = Scorer.load(Store.open(root), "tiny").streams
    rows = [{stream.name: np.full(stream.dim, 0.1, np.float32).tolist() for stream in streams}, {}]
    scored, nothing = client.score_features(rows)
    assert scored
    assert (scored.model, nothing) == ("tiny/1", None)
    assert client.score_posts(["unknown"]) == {"unknown": None}
    assert client.ready()


def test_a_refusal_has_its_reason(client: viral.Client, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(viral.EndpointError) as refused:
        client.score(tmp_path / "text.mp4")
    assert (refused.value.status, refused.value.reason) == (422, "unreadable")
    with (
        viral.Client(client.url, api_key="another key, which is wrong") as stranger,
        pytest.raises(viral.EndpointError) as refused,
    ):
        stranger.score(caption="a")
    assert (refused.value.status, refused.value.reason) == (401, "unauthorized")
