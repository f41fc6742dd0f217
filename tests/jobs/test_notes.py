"""What an extractor says in words reaches the feature table, and goes with its vector into others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from jobs.backfilling.stages import BackfillSpec, DecodeChunk, EncodePosts, ExtractChunk
from viral.config import Settings
from viral.extractors.extractor import Context, ExtractorOutput, PostInput, VectorWithNote
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.extractors.metadata import Metadata
from viral.extractors.spec import Encode, ExtractorSpec, Resolver
from viral.features.feature_table import features_table
from viral.features.pipeline import FeatureEncoder
from viral.features.posts import DecodedPost, ExtractionRequest
from viral.features.reuse import write_feature_card
from viral.media.media import Facts, Media
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS, feature_schema

CAPTIONS = {"a": "kể chuyện 🙂", "b": None, "c": "fails", "d": 'a "quoted"\nline'}
COLUMNS = ["post_id", "length", "length_note", "status"]


@dataclass(frozen=True, kw_only=True)
class Length(ExtractorSpec):
    """How long the caption is, and the caption itself as its note; it chokes on one of them."""

    name: ClassVar[str] = "length"
    modality: ClassVar[str] = "text"
    dim: ClassVar[int] = 1
    revision: ClassVar[str] = "1"
    has_note: ClassVar[bool] = True

    def load(self, device: str, resolve: Resolver) -> Encode:
        return self._encode

    def _encode(self, sample: PostInput) -> ExtractorOutput:
        caption = sample.context.caption
        if not caption:
            return None
        if caption == "fails":
            raise ValueError("no such word")
        return VectorWithNote(np.array([len(caption)], np.float32), {"words": caption.split(), "caption": caption})


SMALL = FeatureSet("small", (ExtractorEntry(Length()),))
GROWN = FeatureSet("grown", (ExtractorEntry(Metadata()), ExtractorEntry(Length())))
CHUNK = pa.table({"bucket": [0], "shard": [0], "num_shards": [1]})


@pytest.fixture
def store(tmp_path: Path, clips: list[Path]) -> Store:
    """Four posts of one short video."""
    video = clips[0]
    store = Store.open(tmp_path)
    rows = [
        {"post_id": post, "source": "test", "video_uri": str(video), "caption": caption}
        for post, caption in CAPTIONS.items()
    ]
    posts_table(store).append(pa.Table.from_pylist(rows, schema=POSTS), 0)
    return store


def filled(store: Store, feature_set: FeatureSet, *, two_stages: bool = False) -> pa.Table:
    """The table of a set, as a worker of either shape fills it."""
    spec = BackfillSpec(store, feature_set, Settings(), None, 0)
    write_feature_card(store, feature_set)
    if two_stages:
        decode, encode = DecodeChunk(spec), EncodePosts(spec)
        reported: Iterator[object] = map(encode, decode(CHUNK))
    else:
        fused = ExtractChunk(spec)
        decode, reported = fused.decode, fused(CHUNK)
    list(reported)
    decode.stage.close()
    return features_table(store, feature_set).read()


def test_the_schema_has_a_note_for_those_who_tell() -> None:
    assert GROWN.noted_extractors == ("length",)
    assert feature_schema(GROWN.dims, GROWN.noted_extractors).names[-3:] == ["metadata", "length", "length_note"]
    assert "metadata_note" not in feature_schema(GROWN.dims, GROWN.noted_extractors).names


def test_notes_stand_beside_their_vectors_in_both_shapes(store: Store) -> None:
    rows = filled(store, SMALL)
    notes = dict(zip(rows["post_id"].to_pylist(), rows["length_note"].to_pylist(), strict=True))
    assert notes["a"] == '{"caption":"kể chuyện 🙂","words":["kể","chuyện","🙂"]}'
    assert json.loads(notes["d"])["caption"] == CAPTIONS["d"]
    assert (notes["b"], notes["c"]) == (None, None)
    assert rows["status"].to_pylist() == ["ok", "ok", "partial", "ok"]
    store.delete_below("features")
    assert filled(store, SMALL, two_stages=True).select(COLUMNS).equals(rows.select(COLUMNS))


@pytest.mark.parametrize("two_stages", [False, True])
def test_a_copied_vector_brings_its_note(store: Store, two_stages: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    small, asked = filled(store, SMALL), []
    tell = Length._encode
    monkeypatch.setattr(Length, "_encode", lambda self, sample: asked.append(sample) or tell(self, sample))
    grown = filled(store, GROWN, two_stages=two_stages)
    assert grown.select(COLUMNS).equals(small.select(COLUMNS))
    assert grown["metadata"].null_count == 0
    assert [sample.context.caption for sample in asked] == ["fails"]  # the one that the donor failed on
    store.delete_below(GROWN.table)
    smaller = replace(SMALL, name="again")
    assert filled(store, smaller, two_stages=two_stages).select(COLUMNS).equals(small.select(COLUMNS))


def test_a_draft_without_video_has_its_note() -> None:
    request = ExtractionRequest("draft", None, Context(caption="two words"))
    (result,) = FeatureEncoder(GROWN.build()).encode([DecodedPost(request, Media(Facts()))])
    assert result.notes == {"length": '{"caption":"two words","words":["two","words"]}'}
    assert result.vectors["length"] == np.float32(9)
