"""Further sections of a scorecard, computed from the gathered rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jobs.evaluating.rows import post_ids, shown_subsets
from viral.config import load
from viral.evaluation.ablation import MaskedPredictions, ablate
from viral.evaluation.groups import TIERS, follower_tiers, group_calibration
from viral.evaluation.labels import Labels
from viral.evaluation.languages import NO_CAPTION, language_name
from viral.evaluation.report.frames import preview_frames
from viral.evaluation.report.model_card import build_card
from viral.evaluation.report.report import Example, Report
from viral.evaluation.report.sections import Ablation, Grouping
from viral.evaluation.threshold_sensitivity import evaluate_thresholds
from viral.models.predictions import PredictionBatch
from viral.scoring.scorer import Scorer
from viral.storage.store import Store


def with_sections(
    report: Report, scorer: Scorer, rows: pa.Table, labels: Labels, predictions: PredictionBatch, *, resamples: int
) -> Report:
    """Return the report with its further sections.

    Args:
        report: the report so far.
        scorer: the model.
        rows: all gathered posts.
        labels: of the test posts.
        predictions: for the test posts.
        resamples: bootstrap resamples; `quick_bootstrap` limits them.
    """
    splits = rows["split"].to_numpy()
    train, test = rows.filter(pa.array(splits == "train")), rows.filter(pa.array(splits == "test"))
    targets = train["target"].to_numpy()
    # What a model without any input would predict, for posts with no modality left.
    average = float(train["is_viral"].to_numpy(zero_copy_only=False).mean()), float(targets.mean())
    return report.model_copy(
        update={
            "ablation": _ablation(scorer, test, labels, predictions, average, resamples),
            "thresholds": evaluate_thresholds(labels, predictions, targets, resamples=resamples),
            "groupings": _groupings(test, labels, predictions, resamples),
            "card": build_card(scorer.saved.card, scorer.feature_set),
            "calibration": scorer.calibration.facts() if scorer.calibration else {},
        }
    )


def with_frames(report: Report, store: Store, rows: pa.Table) -> Report:
    """Return the report with a frame for each example whose video is available."""
    examples = {example.post_id for example in (*report.best, *report.worst)}
    videos = zip(post_ids(rows), rows["video_uri"].to_pylist(), strict=True)
    # The examples only: a frame means reading a video, and the page shows a handful.
    images = preview_frames(store, {post: uri for post, uri in videos if post in examples}, load())

    def with_images(examples: tuple[Example, ...]) -> tuple[Example, ...]:
        """Add its frame to each example."""
        return tuple(example.model_copy(update={"image": images.get(example.post_id)}) for example in examples)

    return report.model_copy(update={"best": with_images(report.best), "worst": with_images(report.worst)})


def _ablation(
    scorer: Scorer,
    test: pa.Table,
    labels: Labels,
    predictions: PredictionBatch,
    average: tuple[float, float],
    resamples: int,
) -> Ablation | None:
    """Ablation over the posts with masked predictions; None if there are none, or a single modality."""
    subsets, rows = shown_subsets(scorer), np.flatnonzero(test["masked"].is_valid().to_numpy())
    if not subsets or not len(rows):
        return None
    # From one list per post to (posts, subsets, probability and score).
    values = test["masked"].combine_chunks().drop_null().flatten().to_numpy().reshape(len(rows), len(subsets), 2)
    masked = [MaskedPredictions(names, values[:, i, 0], values[:, i, 1]) for i, names in enumerate(subsets)]
    return ablate(labels.take(rows), predictions.take(rows), masked, average, resamples=resamples)


def _groupings(test: pa.Table, labels: Labels, predictions: PredictionBatch, resamples: int) -> tuple[Grouping, ...]:
    followers: npt.NDArray[np.float64] = test["author_followers"].cast(pa.float64()).to_numpy()
    tiers = follower_tiers(followers)
    languages = [NO_CAPTION if code is None else language_name(code) for code in test["language"].to_pylist()]
    return (
        group_calibration("followers of the author", tiers, labels, predictions, order=TIERS, resamples=resamples),
        group_calibration("language of the caption", languages, labels, predictions, resamples=resamples),
    )
