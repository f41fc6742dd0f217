"""Feature columns as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from viral.datasets.streams import Stream, from_dict, from_table, from_vectors, streams_of
from viral.errors import TableError
from viral.extractors.feature_set import FeatureSet
from viral.tables.schemas import VECTOR


def test_streams_of_a_feature_set() -> None:
    feature_set = FeatureSet.from_dict({"name": "mini", "extractors": ["acoustics", "metadata"]})
    streams = streams_of(feature_set)
    assert [(stream.name, stream.modality) for stream in streams] == [("acoustics", "audio"), ("metadata", "metadata")]
    assert {stream.name: stream.dim for stream in streams} == feature_set.dims
    assert from_dict([dataclasses.asdict(stream) for stream in streams]) == streams


def test_a_table_and_its_rows_give_the_same_batch(
    streams: tuple[Stream, ...], make_rows: Callable[..., pa.Table]
) -> None:
    rows = make_rows(50)
    by_table = from_table(streams, pa.concat_tables([rows.slice(0, 13), rows.slice(13)]))
    names = [stream.name for stream in streams]
    posts = [
        {name: None if row[name] is None else np.array(row[name], np.float32) for name in names}
        for row in rows.select(names).to_pylist()
    ]
    by_row = from_vectors(streams, posts)
    assert (by_table.present == by_row.present).all()
    assert by_table.present.shape == (50, 3)
    assert not by_table.present.all()
    for index, stream in enumerate(streams):
        assert by_table.vectors[stream.name].dtype == np.float32
        assert (by_table.vectors[stream.name] == by_row.vectors[stream.name]).all()
        assert (by_table.vectors[stream.name][~by_table.present[:, index]] == 0).all()


def test_an_extractor_that_said_nothing_is_absent(streams: tuple[Stream, ...]) -> None:
    batch = from_vectors(streams, [{"caption": np.ones(7, np.float32)}, {"unknown": np.ones(2, np.float32)}])
    assert batch.present.tolist() == [[False, True, False], [False, False, False]]


def test_take_picks_posts(streams: tuple[Stream, ...], make_rows: Callable[..., pa.Table]) -> None:
    batch = from_table(streams, make_rows(5))
    taken = batch.take(np.array([4, 4, 0]))
    assert (taken.present == batch.present[[4, 4, 0]]).all()
    assert (taken.vectors["caption"] == batch.vectors["caption"][[4, 4, 0]]).all()


def test_no_rows_at_all(streams: tuple[Stream, ...], make_rows: Callable[..., pa.Table]) -> None:
    batch = from_table(streams, make_rows(3).slice(0, 0))
    assert batch.present.shape == (0, 3)
    assert batch.vectors["caption"].shape == (0, 7)


def test_vectors_of_another_length_are_refused() -> None:
    stream = (Stream("caption", "text", 4),)
    with pytest.raises(
        TableError, match=r"^a vector of caption does not have 4 values: it belongs to another feature set$"
    ):
        from_table(stream, pa.table({"caption": pa.array([[1.0] * 3, None, [1.0] * 5], VECTOR)}))
    with pytest.raises(TableError, match="a vector of caption does not have 4 values"):
        from_vectors(stream, [{"caption": np.ones(3, np.float32)}])


def test_models_of_earlier_versions_call_editing_craft() -> None:
    stored = {"name": "craft", "modality": "craft", "dim": 2, "tokens": 1}
    assert from_dict([stored]) == (Stream("craft", "editing", 2),)
