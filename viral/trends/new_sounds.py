"""Sounds of the newest window with the popularity that the sound model predicts for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.streams import Batch, concat, from_table
from viral.errors import UsageError
from viral.features.feature_table import features_table
from viral.registry.registry import Registry
from viral.scoring.scorer import Scorer
from viral.sounds.sounds import sounds_root
from viral.storage.store import Store
from viral.tables import replaced
from viral.tables.places import labels_prefix
from viral.tables.schemas import LABELS
from viral.trends.corpus import Corpus

MODEL = "sound"  # the name that `viral train sound` gives
_LEARNT_FROM = ("train", "validation")
_MOST = 2000  # sounds, those with the most authors: the model takes milliseconds for each

_NEW = f"""
SELECT sound_id AS item FROM post WHERE sound_id IS NOT NULL
GROUP BY sound_id HAVING max(window_number) = 0 AND (SELECT max(window_number) FROM post) > 0
ORDER BY count(DISTINCT author) DESC, sound_id LIMIT {_MOST}
"""  # noqa: S608 - names and numbers of ours


def predict_new_sounds(store: Store, corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Predict the popularity of the sounds that are first seen in the newest window; fill the table `predicted`.

    Sounds without features, and those that the model was trained on, are left out: of these it has seen the answer.

    Returns:
        Columns of the table `trends` by key; none without a model, without posts before the newest window, or if the
        labels that the model was trained on were replaced, so that nobody knows which sounds it has seen.
    """
    root = sounds_root(store)
    registry = Registry(root)
    sounds = corpus.table(_NEW)["item"].combine_chunks()
    if MODEL not in registry.names() or not len(sounds):
        return {}
    scorer = Scorer(registry.load(MODEL))
    learnt = _learnt_from(root, scorer)
    if learnt is None:
        return {}
    ids, batch = _features(root, scorer, sounds.filter(pc.invert(pc.is_in(sounds, learnt))))
    if not ids:
        return {}
    corpus.insert("predicted", pa.table({"item": ids}))
    return {
        sound: {
            "predicted_probability": score.probability,
            "predicted_score": score.score,
            "predicted_low": score.low,
            "predicted_high": score.high,
            "prediction_model": score.model,
        }
        for sound, score in zip(ids, scorer.score_batch(batch), strict=True)
    }


def _features(root: Store, scorer: Scorer, sounds: pa.Array) -> tuple[list[str], Batch]:
    """The sounds that have one of the model's inputs, and these inputs."""
    names = [stream.name for stream in scorer.streams]
    ids, batches = list[str](), list[Batch]()
    for bucket in features_table(root, scorer.feature_set).scan(["post_id", *names]):
        rows = bucket.filter(pc.is_in(bucket["post_id"], sounds))
        batch = from_table(scorer.streams, rows)
        present = batch.present.any(axis=1)
        ids += rows.filter(pa.array(present))["post_id"].to_pylist()
        batches.append(batch.take(np.flatnonzero(present)))
    return ids, concat(batches)


def _learnt_from(root: Store, scorer: Scorer) -> pa.Array | None:
    """Keys of the sounds that the model was trained on; None if its labels were replaced."""
    label = scorer.saved.card.get("label", {})
    try:
        table, about = replaced.open_current(root, labels_prefix(label.get("name", "")), LABELS)
    except UsageError:
        return None
    rows = table.read(columns=["post_id", "split"])
    learnt = rows.filter(pc.is_in(rows["split"], pa.array(_LEARNT_FROM)))["post_id"].combine_chunks()
    return learnt if about == label else None
