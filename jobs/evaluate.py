"""A model on its test split, beside baselines → the scorecard: one JSON and one HTML page beside the model."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jobs.buckets import over_buckets
from jobs.ingest import posts_table
from jobs.labelled import labelled_features
from jobs.score import loaded_scorer, prediction_row
from jobs.session import session
from viral.cli import common, execute, on_ray, say
from viral.dataset import LabelledFeatures
from viral.errors import TableError
from viral.evaluation import report
from viral.evaluation.baselines import BASELINES, Inputs, fit_predict
from viral.evaluation.evaluate import Details, Forecast, Truth, evaluate
from viral.evaluation.splits import PARTS, author_codes, counts
from viral.extractors.metadata import METADATA_COLUMNS
from viral.extractors.weights import RANDOM
from viral.history import recorded
from viral.labels.registry import definition
from viral.models.streams import from_table
from viral.parts import Parts
from viral.registry import Registry, Saved
from viral.scorer import Scorer
from viral.store import Store
from viral.tables import PREDICTIONS, SYNTHETIC

MAX_POSTS = 400_000  # judged on this machine, about 500 bytes each; of more, a sample that the posts' hash decides
SUMMARY_FIGURES = ("roc_auc", "spearman", "rmse", "accuracy_at_75", "coverage")


@dataclass
class EvaluateSummary:
    """Where the scorecard lies, and its main figures beside the baselines'."""

    model: str
    html: str
    json: str
    test_posts: int
    figures: dict[str, str] = field(default_factory=dict)


def run(
    store: Store, model: str, *, resamples: int = 1000, address: str | None = None, debug: bool = False
) -> EvaluateSummary:
    """Judge a model on the test split of the labels that it was trained on.

    Raises:
        TableError: no such model, or its labels were made anew since.
    """
    saved = Registry(store).load(model)
    scorer = Scorer(saved)
    data, about = labelled_features(store, scorer.feature_set, saved.card["label"]["name"], scorer.streams)
    if any(spec.registered == "metadata" for spec in scorer.feature_set.specs):  # ours, not a foreign table's
        data = replace(data, beside=("metadata",))  # the baselines look at it
    if about != saved.card["label"]:
        name = saved.card["label"]["name"]
        raise TableError(f"labels/{name} was made anew since {saved} was trained: train again, or label as before")
    with session(address, debug=debug):
        rows = _gather(store, data, str(saved))
    judged = _judge(saved, scorer, rows, resamples)
    place = f"models/{saved.name}/{saved.version:04d}/scorecard"
    store.write(f"{place}.json", judged.to_json().encode())
    store.write(f"{place}.html", judged.to_html().encode())
    return EvaluateSummary(
        str(saved), store.uri(f"{place}.html"), store.uri(f"{place}.json"), _test_posts(judged), _main_figures(judged)
    )


def _gather(store: Store, data: LabelledFeatures, model: str) -> pa.Table:
    """The labelled posts of all splits, with what the baselines look at, and the model's word on the test posts."""
    bits = data.bits()
    total = sum(part.rows for part in data.labels.parts())
    keep = min(1.0, MAX_POSTS / max(1, total))
    work = partial(_gather_bucket, data, posts_table(store), model, bits, keep)
    return pa.concat_tables([row["it"] for row in over_buckets(work, bits)], promote_options="default")


def _gather_bucket(
    data: LabelledFeatures, posts: Parts, model: str, bits: int, keep: float, bucket: int
) -> dict[str, Any]:
    rows = data.read(bits, bucket, PARTS)
    if keep < 1:
        rows = rows.filter(pa.array([zlib.crc32(f"evaluate {post}".encode()) < keep * 2**32 for post in _ids(rows)]))
    known = posts.read(bits, bucket, ["post_id", "caption", "duration_seconds", "author_followers"])
    known = known.take(pc.index_in(rows["post_id"], known["post_id"]))
    vectors = {*(stream.name for stream in data.streams), *data.beside}
    narrow = rows.drop_columns(sorted(vectors))
    for name in ("caption", "duration_seconds", "author_followers"):
        narrow = narrow.append_column(name, known[name])
    if "metadata" in data.beside:
        narrow = narrow.append_column("metadata", rows["metadata"])
    return {"it": _with_predictions(loaded_scorer(data.features.store.root, model), rows, narrow)}


def _ids(rows: pa.Table) -> list[str]:
    ids: list[str] = rows["post_id"].to_pylist()
    return ids


def _with_predictions(scorer: Scorer, rows: pa.Table, narrow: pa.Table) -> pa.Table:
    """The narrow rows with the columns of predictions, null outside the test split."""
    tested = np.flatnonzero(rows["split"].to_numpy() == "test")
    scored = scorer.score_batch(from_table(scorer.streams, rows).take(tested)) if len(tested) else []
    ids = _ids(rows)
    said = {int(at): prediction_row(ids[at], each) for at, each in zip(tested, scored, strict=True)}
    nothing = dict.fromkeys(PREDICTIONS.names)
    filled = [said.get(at, nothing) for at in range(len(ids))]
    columns = pa.schema([each.with_nullable(True) for each in PREDICTIONS if each.name not in ("post_id", "model")])
    predictions = pa.Table.from_pylist(filled, schema=columns)
    for name in columns.names:
        narrow = narrow.append_column(columns.field(name), predictions[name])
    return narrow


def _judge(saved: Saved, scorer: Scorer, rows: pa.Table, resamples: int) -> report.Report:
    parts = rows["split"].to_numpy()
    train, test = parts == "train", parts == "test"
    if not test.any():
        raise TableError(f"no test post of labels/{saved.card['label']['name']} has features: backfill more")
    inputs = _inputs(rows)
    tested = rows.filter(pa.array(test))
    truth = Truth(_ids(tested), author_codes(tested), inputs.y[test], inputs.is_viral[test])
    said = Forecast(*(tested[name].to_numpy() for name in ("probability", "score", "low", "high")))
    captions = {post: text for post, text in zip(_ids(tested), tested["caption"].to_pylist(), strict=True) if text}
    return evaluate(
        truth,
        said,
        {name: fit_predict(name, inputs, train, test) for name in BASELINES},
        about=_about(saved, scorer, rows),
        split=_split(saved, rows),
        details=Details(_shares(tested), captions),
        quartile=float(np.quantile(inputs.y[train], 0.75)),
        resamples=resamples,
        log_scale=definition(saved.card["label"]["spec"]["definition"]).log_scale,
    )


def _inputs(rows: pa.Table) -> Inputs:
    metadata = _metadata(rows)
    duration = _floats(rows["duration_seconds"])
    if metadata is not None:
        seen = metadata[:, METADATA_COLUMNS.index("duration_seconds")]
        duration = np.where(np.isfinite(duration), duration, seen)
    posted = _floats(rows["posted_at"].cast(pa.int64())) / 3.6e9  # hours since 1970
    return Inputs(
        y=_floats(rows["target"]),
        is_viral=rows["is_viral"].to_numpy(zero_copy_only=False),
        duration=duration,
        followers=_floats(rows["author_followers"]),
        hour=posted % 24,
        authors=author_codes(rows),
        posted_at=posted,
        metadata=metadata,
    )


def _metadata(rows: pa.Table) -> npt.NDArray[np.float32] | None:
    """The metadata vectors (N, columns), NaN where a post has none; None where the feature set has none."""
    if "metadata" not in rows.column_names:
        return None
    absent = [float("nan")] * len(METADATA_COLUMNS)
    return np.array([vector or absent for vector in rows["metadata"].to_pylist()], np.float32)


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _shares(tested: pa.Table) -> Mapping[str, npt.NDArray[np.float64]]:
    found = [dict(each) for each in tested["shares"].to_pylist()]
    names = list(dict.fromkeys(name for each in found for name in each))
    return {name: np.array([each.get(name, np.nan) for each in found]) for name in names}


def _about(saved: Saved, scorer: Scorer, rows: pa.Table) -> report.About:
    card = saved.card
    spec, sets = card["label"]["spec"], scorer.feature_set
    random = tuple(each.name for each in sets.specs if each.params().get("weights") == RANDOM)
    return report.About(
        title=f"Scorecard of {saved}",
        model=str(saved),
        viral=f"the top {spec['top_fraction']:.0%} of the training posts by {spec['definition']}"
        + (f", within the same {' and '.join(spec['within'])}" if spec["within"] else ""),
        score=spec["definition"],
        feature_set=f"{sets.name}-{sets.fingerprint}",
        inputs=tuple(sets.dims),
        random_weights=random,
        corpus=f"{rows.num_rows} labelled posts with features, from {', '.join(card['sources'])}",
        synthetic=SYNTHETIC in card["sources"],
        data_hash=card["data_hash"],
        code_version=card["code_version"],
        limits=tuple(card["notes"]),
    )


def _split(saved: Saved, rows: pa.Table) -> report.Split:
    spec, parts, viral = saved.card["label"]["split"], rows["split"].to_numpy(), rows["is_viral"].to_numpy(False)
    found = [
        report.Part(
            name=each.part,
            posts=each.posts,
            authors=each.authors,
            viral=float(viral[parts == each.part].mean()) if each.posts else None,
        )
        for each in counts(parts, author_codes(rows))
    ]
    return report.Split(kind=spec["kind"], gap_days=spec["gap_days"], seed=spec["seed"], parts=tuple(found))


def _test_posts(judged: report.Report) -> int:
    return next(part.posts for part in judged.split.parts if part.name == "test")


def _main_figures(judged: report.Report) -> dict[str, str]:
    lines = {}
    for system in judged.systems:
        told = [f"{name} {_figure(system.figures[name])}" for name in SUMMARY_FIGURES if name in system.figures]
        lines[system.name] = ", ".join(told) if told else f"not available: {system.unavailable}"
    return lines


def _figure(estimate: Any) -> str:
    if estimate.value is None:
        return "-"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]" if estimate.low is not None else "-"


@click.command()
@click.option("--model", default="fusion", show_default=True, help="NAME or NAME/VERSION.")
@click.option("--resamples", default=1000, show_default=True, type=click.IntRange(100), help="Of the bootstrap.")
@on_ray
@common
def command(model: str, resamples: int, root: str, address: str | None, as_json: bool, debug: bool) -> None:
    """Judge a model on its test split, beside baselines; writes one JSON and one HTML page beside the model."""
    store = Store.open(root)
    say(
        recorded(store, "evaluate", lambda _: run(store, model, resamples=resamples, address=address, debug=debug)),
        as_json=as_json,
    )


if __name__ == "__main__":
    execute(command)
