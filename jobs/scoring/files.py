"""`viral score FILE…`: here and now, without Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from viral.config import load
from viral.errors import UsageError
from viral.extractors.extractor import Context
from viral.features.pipeline import Outcome, Pipeline
from viral.features.reader import Job
from viral.scoring.author import beside_author
from viral.scoring.scorer import Scored, Scorer
from viral.storage.store import Store


def score_files(
    store: Store, model: str, files: Sequence[str], context: Context, views: Sequence[int] = (), *, as_json: bool
) -> None:
    """Score each file and print its card; files that cannot be scored are named at the end.

    Args:
        store: the root.
        model: `NAME` or `NAME/VERSION`.
        files: videos, by path or `s3://` address.
        context: what is known of all of them.
        views: of the author's earlier posts, to compare with.
        as_json: one JSON object a file, not a card.

    Raises:
        UsageError: some could not be scored, or the model's label says nothing beside views.
    """
    scorer = Scorer.load(store, model)
    refused = []
    with Pipeline(scorer.feature_set, store, load()) as pipeline:
        for outcome in pipeline.run(Job(file, uri_of(file), context) for file in files):
            if outcome.status == "failed":
                refused.append(f"{outcome.post_id}: {outcome.detail} ({outcome.reason})")
            else:
                (scored,) = scorer.score([outcome.vectors])
                scored = beside_author(scored, views) if views else scored
                click.echo(_as_json(outcome, scored) if as_json else card_of(outcome, scored))
    if refused:
        raise UsageError("; ".join(refused))


def uri_of(file: str) -> str:
    """Where a file lies that was named on a command line."""
    return file if file.startswith("s3://") else str(Path(file).expanduser().absolute())


def _as_json(outcome: Outcome, scored: Scored) -> str:
    return json.dumps({"file": outcome.post_id, "status": outcome.status, "detail": outcome.detail, **scored.to_dict()})


def card_of(outcome: Outcome, scored: Scored) -> str:
    """A score as people read it."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in scored.modalities.items())
    lines = [outcome.post_id, f"  P(viral)  {scored.probability:.1%}{_place(scored)}"]
    lines += [
        f"  {scored.label}  {scored.score:.3g}, between {scored.low:.3g} and {scored.high:.3g} in 90 of 100 cases"
    ]
    lines += [f"  author    {_beside_own(scored.relative_to_author)}"] if scored.relative_to_author else []
    lines += [f"  weighs    {shares}"]
    lines += [f"  missing   {', '.join(scored.missing)}"] if scored.missing else []
    lines += [f"  partial   {outcome.reason}: {outcome.detail or 'what was there is used'}"] if outcome.reason else []
    return "\n".join([*lines, *(f"  note      {note}" for note in scored.notes)])


def _place(scored: Scored) -> str:
    if scored.known is False:
        return ", the average: this video is unlike anything that the model was trained on"
    if scored.percentile is None:
        return ""
    return f", more than {scored.percentile:.0f} of 100 posts that it was not trained on"


def _beside_own(relative: Mapping[str, float]) -> str:
    return f"{relative['times']:.2g} times the views of the median of {relative['posts']:.0f} earlier posts"
