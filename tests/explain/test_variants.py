"""Variants are scored by the path of every score, each cut of a file decoded once."""

from __future__ import annotations

import numpy as np
import pytest

from tests.explain.conftest import MINI, PlantedModel
from viral.config import Settings
from viral.errors import ConfigError, UsageError
from viral.explain.variants import Draft, Rescorer, Variant
from viral.extractors.extractor import Context
from viral.features.pipeline import ENCODE_BATCH_SIZE, Pipeline
from viral.features.posts import ExtractionRequest
from viral.media.window import ClipWindow
from viral.storage.store import Store


def test_a_variant_has_the_vectors_that_its_post_would_have(rescorer: Rescorer, clip: str) -> None:
    words = [Draft(None, Context(author_followers=count)) for count in range(ENCODE_BATCH_SIZE + 2)]
    cuts = [(None, 3), (ClipWindow(0.0, 3.0), 5), (ClipWindow(2.0), 3), (None, 4)]
    variants = [Variant(Draft(clip, Context(author_followers=count)), window) for window, count in cuts]
    results = rescorer.extract([*variants[:2], *map(Variant, words), *variants[2:]])
    with Pipeline(MINI, Store("/"), Settings()) as pipeline:
        jobs = [ExtractionRequest("draft", clip, each.draft.context, window=each.window) for each in variants]
        videos = list(pipeline.extract(jobs))
        expected = [*videos[:2], *(pipeline.extract_draft(None, draft.context) for draft in words), *videos[2:]]
    for result, other in zip(results, expected, strict=True):
        assert result.facts == other.facts
        for name, vector in other.vectors.items():
            assert np.array_equal(result.vectors[name], vector), name


def test_each_cut_is_decoded_once_and_a_whole_file_stays_decoded(clip: str) -> None:
    with Pipeline(MINI, Store("/"), Settings()) as pipeline:
        requests: list[ExtractionRequest] = []
        run = pipeline.reader.read
        pipeline.reader.read = lambda jobs: run(requests.append(job) or job for job in jobs)  # type: ignore[method-assign]  # to listen in
        rescorer = Rescorer(pipeline, PlantedModel())  # type: ignore[arg-type]  # it looks at no more of a scorer
        draft, opening = Draft(clip), ClipWindow(0.0, 2.0)
        rescorer([Variant(draft), Variant(draft, hidden=opening), Variant(draft, opening), Variant(draft, opening)])
        rescorer([Variant(draft, hidden=ClipWindow(1.0, 2.0)), Variant(Draft(clip, Context("other words")))])
    assert [(job.video_uri, job.window) for job in requests] == [(clip, None), (clip, opening)]


def test_a_video_that_cannot_be_used_is_one_line(rescorer: Rescorer) -> None:
    with pytest.raises(UsageError, match=r"^/none\.mp4: there is no file '/none\.mp4' \(missing_object\)$"):
        rescorer([Variant(Draft("/none.mp4"))])


def test_words_alone_cannot_be_cut() -> None:
    with pytest.raises(ConfigError, match="of text alone cannot be cut"):
        Variant(Draft(None), ClipWindow(0.0, 1.0))
