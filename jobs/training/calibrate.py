"""A saved model on the posts that it was not trained on → how its words are to be corrected, beside its weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.runtime.buckets import over_buckets
from jobs.scoring.loaded import raw_scorer
from jobs.training.labelled import labelled_features, share_of
from viral.datasets.labelled_features import LabelledFeatures
from viral.datasets.streams import from_table
from viral.errors import TableError
from viral.evaluation.splits import author_codes
from viral.models.ensemble.rows import sampled
from viral.registry.registry import Registry, Saved
from viral.scoring.calibration import LEVEL, Calibration, fit
from viral.scoring.reference import ROWS, WORDS, Reference
from viral.scoring.scorer import CALIBRATION, Scorer
from viral.storage.store import Store

HELD_ROWS = 100_000  # validation posts whose predictions are looked at: more change no knot
NUMBERS = 48_000_000  # of the vectors that are brought to this machine: 192 MB


@dataclass(frozen=True)
class Sample:
    """Shares of the posts that are looked at: of both splits with vectors, and held ones with predictions."""

    train: float
    vectors: float
    held: float


def calibrate(store: Store, saved: Saved) -> Calibration | None:
    """Fit what `Scorer` corrects a model by, and write it beside the model. Call it within a session.

    From the validation split, which no weight was learnt from (though the best epoch and the weights of members were
    chosen on it), and of the training split a sample of posts that later ones are compared with.

    Returns:
        None where no validation post has features: then it stays as it is, and says so.

    Raises:
        TableError: the labels were made anew since the model was trained.
    """
    scorer = Scorer(saved, raw=True)
    name = saved.card["label"]["name"]
    data, about = labelled_features(store, scorer.feature_set, name, scorer.streams, share=share_of(saved))
    if about != saved.card["label"]:
        raise TableError(f"labels/{name} was made anew since {saved} was trained: train again, or label as before")
    bits = data.bits()
    work = partial(_gather, data, bits, str(saved), _sample(data, saved))
    found = [row["it"] for row in over_buckets(work, bits)]
    kept, held = (pa.concat_tables(tables).combine_chunks() for tables in zip(*found, strict=True))
    if not held.num_rows:
        return None
    train = kept.filter(pc.equal(kept["split"], "train"))
    fresh = kept.filter(pc.equal(kept["split"], "validation"))
    batches = [from_table(scorer.streams, each) for each in (train, fresh)]
    Reference.fit(scorer.streams, batches[0], train.select(list(WORDS)), batches[1]).save(store, saved.place)
    made = _fitted(train, held)
    store.write(Registry.key(saved.name, saved.version, CALIBRATION), json.dumps(made.to_dict()).encode())
    return made


def _sample(data: LabelledFeatures, saved: Saved) -> Sample:
    posts, rows = max(1, sum(part.rows for part in data.labels.parts())), max(1, saved.card["rows"])
    kept = min(ROWS, NUMBERS // max(1, sum(stream.dim for stream in data.streams)))
    return Sample(*(min(1.0, wanted / of) for wanted, of in ((kept, rows), (kept, posts), (HELD_ROWS, posts))))


def _gather(data: LabelledFeatures, bits: int, model: str, sample: Sample, bucket: int) -> dict[str, Any]:
    """Of one bucket: posts of both splits with their vectors, and held posts with what the model says of them."""
    rows = data.read(bits, bucket, ("train", "validation"))
    ids, train = rows["post_id"].to_pylist(), rows["split"].to_numpy(zero_copy_only=False) == "train"
    kept = _chosen(ids, np.where(train, sample.train, sample.vectors))
    held = _chosen(ids, np.where(train, 0.0, sample.held))
    vectors = [stream.name for stream in data.streams]
    scorer = raw_scorer(data.features.store.root, model)
    return {"it": (rows.filter(kept).select([*WORDS, "split", *vectors]), _said(scorer, rows.filter(held)))}


def _chosen(ids: Sequence[str], shares: npt.NDArray[np.float64]) -> pa.Array:
    return pa.array([sampled(post, share) for post, share in zip(ids, shares, strict=True)], pa.bool_())


def _said(scorer: Scorer, rows: pa.Table) -> pa.Table:
    """What a model says of rows, beside what became of them."""
    found = rows.select(list(WORDS))
    said = scorer.said(from_table(scorer.streams, rows)) if rows.num_rows else None
    for at, name in enumerate(("low", "score", "high")):
        found = found.append_column(name, pa.array([] if said is None else said.quantiles[:, at], pa.float64()))
    return found.append_column("probability", pa.array([] if said is None else said.probability, pa.float64()))


def _fitted(train: pa.Table, held: pa.Table) -> Calibration:
    y = train["target"].to_numpy()
    low, high = np.quantile(y, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return fit(
        held["probability"].to_numpy(),
        np.stack([held[name].to_numpy() for name in ("low", "score", "high")], axis=1),
        held["target"].to_numpy(),
        held["is_viral"].to_numpy(zero_copy_only=False),
        author_codes(held),
        base_rate=float(train["is_viral"].to_numpy(zero_copy_only=False).mean()),
        spread=(float(low), float(high)),
    )
