"""The member on n-grams: it learns from words, is restored to the last bit, and says the average without a text."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import cast

import numpy as np
import pyarrow as pa
import pytest

from tests.models.conftest import labelled
from tests.models.ensemble.conftest import SCALING, Table
from viral.datasets.labelled_features import LabelledFeatures, compute_statistics
from viral.datasets.streams import Batch, Stream
from viral.models.ensemble.member import log_loss, squared_loss
from viral.models.ensemble.ngrams import MAX_TERMS, NgramMember, _vocabulary
from viral.models.ensemble.predictor import load, to_bytes
from viral.models.ensemble.rows import LabelledBatch, Layout, RowSource
from viral.models.ensemble.usable import usable_members
from viral.models.mixing import normalise_weights
from viral.registry.registry import ModelVersion
from viral.tables.schemas import VECTOR

METADATA, NGRAMS = Stream("metadata", "metadata", 5), Stream("ngrams", "text", 6, sparse=True)
STREAMS = (METADATA, NGRAMS)
CARD_STREAMS = [vars(METADATA), vars(NGRAMS)]


def source(count: int, seed: int, *, words: int = 40) -> RowSource:
    """Posts of up to six of some words, of which each adds its own to the score; a tenth has no text."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(1, words + 1, (count, NGRAMS.dim))
    worth = np.random.default_rng(9).normal(size=words + 1)
    ids[np.arange(NGRAMS.dim) >= rng.integers(1, NGRAMS.dim + 1, (count, 1))] = 0
    target = np.where(ids > 0, worth[ids], 0).sum(axis=1) + 0.3 * rng.normal(size=count)
    rows = labelled(count, seed=seed)
    vectors = [None if rng.random() < 0.1 else vector.tolist() for vector in ids.astype(np.float32)]
    for name, values in (("target", target), ("is_viral", target > 1)):
        index = rows.column_names.index(name)
        rows = rows.set_column(index, name, pa.array(values, rows.schema.field(name).type))
    rows = rows.append_column("ngrams", pa.array(vectors, VECTOR))
    return RowSource(cast("LabelledFeatures", Table(STREAMS, rows)), 1, "train", SCALING)


@cache
def fitted(count: int = 500, words: int = 40) -> tuple[Layout, NgramMember, LabelledBatch]:
    train, validation, new = (source(size, seed, words=words) for seed, size in enumerate((count, 200, 200)))
    rows = cast("Table", train.data).rows
    layout = Layout.from_moments(STREAMS, compute_statistics(rows, STREAMS).moments)
    member, settings = NgramMember.fit(layout, train, validation.read_all(), 0)
    assert settings["terms"] == len(member.terms) <= words
    return layout, member, new.read_all()


def test_it_learns_what_words_say() -> None:
    layout, member, new = fitted()
    prediction = member(layout, new.batch)
    assert squared_loss(prediction.score, new.score) < 0.5 * np.var(new.score)
    assert log_loss(prediction.probability, new.viral) < 0.8 * log_loss(np.full(200, new.viral.mean()), new.viral)
    assert (np.diff(prediction.quantiles, axis=1) >= 0).all()


def test_posts_without_text_get_the_averages() -> None:
    layout, member, new = fitted()
    prediction, absent = member(layout, new.batch), ~new.batch.present[:, 1]
    assert absent.any()
    assert set(prediction.probability[absent]) == {member.averages[0]}
    assert set(prediction.score[absent]) == {member.averages[1]}


def test_unknown_words_and_order_change_nothing() -> None:
    layout, member, new = fitted()
    row = np.array([[1, 2, 0, 0, 0, 0], [2, 0, 99_999, 1, 0, 0]], np.float32)
    first, second = member(layout, Batch({**take(new, 2), "ngrams": row}, np.ones((2, 2), bool))).score
    assert first == pytest.approx(second, rel=1e-12)


def take(new: LabelledBatch, count: int) -> dict[str, np.ndarray]:
    return {name: array[:count] for name, array in new.batch.vectors.items()}


@pytest.mark.parametrize("viral", [None, True])
def test_nothing_to_learn_from(viral: bool | None) -> None:
    """No word twice, or one class: the averages, with an interval."""
    layout, _, new = fitted()
    train = source(30, 3, words=100_000 if viral is None else 3)
    if viral is not None:
        rows = cast("Table", train.data).rows
        index = rows.column_names.index("is_viral")
        rows = rows.set_column(index, "is_viral", pa.array([viral] * rows.num_rows))
        train = replace(train, data=cast("LabelledFeatures", Table(STREAMS, rows)))
    member, _ = NgramMember.fit(layout, train, source(30, 4).read_all(), 0)
    prediction = member(layout, new.batch)
    assert np.ptp(prediction.score) == pytest.approx(0)
    assert (prediction.low < prediction.high).all()  # type: ignore[operator]
    assert ((prediction.probability >= 0) & (prediction.probability <= 1)).all()


def test_the_vocabulary_is_bounded_and_takes_the_most_frequent() -> None:
    ids = np.arange(1, MAX_TERMS + 2)[None].repeat(2, axis=0)
    ids = np.concatenate([ids, np.full((2, 1), MAX_TERMS + 5)], axis=1)
    terms, idf = _vocabulary(np.concatenate([ids, ids[:, -2:]], axis=1))
    assert len(terms) == len(idf) == MAX_TERMS
    assert MAX_TERMS + 5 in terms
    assert (np.diff(terms) > 0).all()


def test_within_an_ensemble_it_is_restored_to_the_last_bit_and_explained() -> None:
    layout, member, new = fitted()
    weights = normalise_weights(["ngrams"], {"ngrams": 1.0})
    members = {"ngrams": {"weights": weights.to_dict(0)}}
    card = {"kind": "ensemble", "config": {"streams": CARD_STREAMS}, "target": vars(SCALING), "members": members}
    saved = ModelVersion("e", 1, card, to_bytes(layout, {"ngrams": member.to_arrays()}))
    batch = new.batch.take(np.flatnonzero(new.batch.present[:, 1])[:64])
    prediction = load(saved)(batch)
    assert np.array_equal(prediction.score, member(layout, batch).score * SCALING.scale + SCALING.mean)
    assert prediction.contributions is not None
    assert np.array_equal(prediction.contributions, np.tile([0.0, 1.0], (64, 1)))
    turned = load(saved)(batch.take(np.arange(64)[::-1]))
    assert np.array_equal(turned.score[::-1], prediction.score)


def test_only_inputs_with_identifiers_offer_it() -> None:
    assert "ngrams" in usable_members(STREAMS)
    assert "ngrams" not in usable_members(STREAMS[:1])
    layout, _, new = fitted()
    # Identifiers are no column of the other members' matrix.
    assert layout.with_nan(new.batch).shape == (200, 6)
    assert layout.standardised(new.batch).shape == (200, 6)
