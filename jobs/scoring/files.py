"""`viral score FILE…`: score files in this process, without Ray."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from viral.config import load
from viral.errors import UsageError
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.features.posts import ExtractionRequest, ExtractionResult
from viral.labels.log_views import LOG_VIEWS
from viral.scoring.author import check_comparable, compare_with_author
from viral.scoring.scorer import Score, Scorer
from viral.storage.store import Store

_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".bmp")  # what a photo set may hold


def score_files(
    store: Store, model: str, drafts: Sequence[ExtractionRequest], views: Sequence[int] = (), *, as_json: bool
) -> None:
    """Score each draft and print the result; drafts that cannot be scored are named at the end.

    Args:
        store: the root.
        model: `NAME` or `NAME/VERSION`.
        drafts: videos (`video_drafts`) or photo sets (`photo_set_draft`).
        views: of the author's earlier posts, for comparison.
        as_json: print a JSON object per draft.

    Raises:
        UsageError: some drafts could not be scored, or the label cannot be compared with views.
    """
    scorer = Scorer.load(store, model)
    if views:
        check_comparable(scorer.label)  # before any file is read
    failures = []
    with Pipeline(scorer.feature_set, store, load()) as pipeline:
        for features in pipeline.extract(drafts):
            # A partial file is scored from what could be extracted; the result says so.
            if features.status == "failed":
                picture = Path(features.post_id).suffix.lower() in _PICTURES
                hint = "; --photos scores pictures, as the slides of one photo set" if picture else ""
                failures.append(f"{features.post_id}: {features.detail} ({features.reason}){hint}")
                continue
            try:
                (score,) = scorer.score([features.vectors])
            except UsageError as error:  # the file has nothing that the model reads
                failures.append(f"{features.post_id}: {error}")
                continue
            score = compare_with_author(score, views) if views else score
            print_score(features, score, as_json=as_json)
    check_failures(failures, len(drafts))


def check_failures(failures: Sequence[str], count: int) -> None:
    """Raise UsageError if some of `count` files have no score; each failure names its file and the reason."""
    if failures:
        raise UsageError(f"{len(failures)} of {count} files have no score: {'; '.join(failures)}")


def video_drafts(files: Sequence[str], context: Context) -> list[ExtractionRequest]:
    """Return a draft per video, given by path or `s3://` address."""
    return [ExtractionRequest(file, uri_of(file), context) for file in files]


def photo_set_draft(files: Sequence[str], sound: str | None, context: Context) -> ExtractionRequest:
    """Return one draft of pictures in order, with a sound if there is one, by path or `s3://` address."""
    name = ", ".join(files)
    sound_uri = uri_of(sound) if sound else None
    return ExtractionRequest(name, None, context, slides=tuple(map(uri_of, files)), sound_uri=sound_uri)


def uri_of(file: str) -> str:
    """Return the absolute path of a file given on a command line, or its `s3://` URI."""
    return file if file.startswith("s3://") else str(Path(file).expanduser().absolute())


def print_score(features: ExtractionResult, score: Score, *, as_json: bool) -> None:
    """Print the score of a file as text, or as a JSON object."""
    click.echo(_to_json(features, score) if as_json else render_score(features, score))


def _to_json(features: ExtractionResult, score: Score) -> str:
    file = {"file": features.post_id, "status": features.status, "detail": features.detail}
    return json.dumps({**file, **score.to_dict()})


def render_score(features: ExtractionResult, score: Score) -> str:
    """Render a score as text."""
    contributions = ", ".join(f"{name} {value:.0%}" for name, value in score.modalities.items())
    lines = [features.post_id, f"  P(viral)  {score.probability:.1%}{_rank(score)}"]
    lines += [f"  {score.label}  {score.score:.3g}, between {score.low:.3g} and {score.high:.3g} in 90 of 100 cases"]
    if score.label == LOG_VIEWS.name:
        median, low, high = (_views(value) for value in (score.score, score.low, score.high))
        lines += [f"  views     {median}, between {low} and {high}"]
    lines += [f"  author    {_author(score.relative_to_author)}"] if score.relative_to_author else []
    lines += [f"  weighs    {contributions}"]
    lines += [f"  missing   {', '.join(score.missing)}"] if score.missing else []
    if features.reason:
        lines += [f"  partial   {features.reason}: {features.detail or 'scored from the rest'}"]
    return "\n".join([*lines, *(f"  note      {note}" for note in score.notes)])


def _views(log_views: float) -> str:
    """Views of a label `log_views`, to two digits: the interval is far wider than the rest."""
    return f"{float(f'{max(0.0, math.expm1(log_views)):.2g}'):,.0f}"


def _rank(score: Score) -> str:
    if score.in_distribution is False:
        return ", the average: this video is unlike anything that the model was trained on"
    if score.percentile is None:
        return ""
    return f", more than {score.percentile:.0f} of 100 posts that it was not trained on"


def _author(relative: Mapping[str, float]) -> str:
    return f"{relative['times']:.2g} times the views of the median of {relative['posts']:.0f} earlier posts"
