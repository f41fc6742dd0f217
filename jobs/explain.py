"""`viral explain FILE…`: explain the score of a draft, or rank several drafts. Runs in this process, without Ray."""

from __future__ import annotations

import json
from dataclasses import replace

import click

from jobs.runtime.options import draft_options, photo_set_options
from jobs.scoring.files import render_score, uri_of
from jobs.scoring.stored_post import StoredPost, stored_post
from viral.config import load
from viral.console.commands import execute
from viral.console.options import root_options
from viral.errors import ConfigError, UsageError
from viral.explain import ASSOCIATIONS
from viral.explain.drafts import rank
from viral.explain.explanation import explain, to_json
from viral.explain.text import lines
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import CHANGES, parse_change
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Score, Scorer
from viral.storage.store import Store


def explain_draft(
    store: Store,
    model: str,
    name: str,
    draft: Draft,
    specs: tuple[str, ...] = (),
    *,
    as_json: bool,
) -> None:
    """Print the score of one draft, under a name, with its explanation.

    Raises:
        UsageError: the draft cannot be scored, or a change does not fit it.
    """
    _explain(store, Scorer.load(store, model), name, StoredPost(draft), specs, as_json=as_json)


def explain_post(store: Store, model: str, post_id: str, specs: tuple[str, ...] = (), *, as_json: bool) -> None:
    """Print the score of one post of the table with its explanation, and what the platform says of the post.

    Raises:
        UsageError: there is no such post, its video or slides are not stored, or it cannot be scored.
    """
    scorer = Scorer.load(store, model)
    post = stored_post(store, scorer, post_id)
    _explain(store, scorer, post_id, post, specs, as_json=as_json)


def _explain(
    store: Store, scorer: Scorer, file: str, post: StoredPost, specs: tuple[str, ...], *, as_json: bool
) -> None:
    changes = [parse_change(spec, post.draft.context) for spec in specs] if specs else None
    with Pipeline(scorer.feature_set, store, load()) as pipeline:
        explanation = explain(Rescorer(pipeline, scorer), post.draft, changes)
    # First in the answer: what is known of the post comes before what the model says.
    known = {"platform": post.facts, "outcome": post.outcome}
    found = {name: section for name, section in known.items() if section is not None}
    explanation = replace(explanation, sections={**found, **explanation.sections})
    features, score = explanation.features, explanation.score
    if as_json:
        result = {"file": file, "status": features.status, "detail": features.detail, **score.to_dict()}
        click.echo(json.dumps({**result, "explanation": explanation.to_dict(), "meaning": ASSOCIATIONS}))
        return
    card = render_score(replace(features, post_id=file), score)
    click.echo("\n".join([card, *explanation.lines(), ASSOCIATIONS]))


def rank_files(store: Store, model: str, files: tuple[str, ...], context: Context, *, as_json: bool) -> None:
    """Print several files by score, with the probability that one does better than another.

    Raises:
        UsageError: some files cannot be scored; the others are printed first.
    """
    # One model and one pipeline for all files: loading them takes longer than scoring a file.
    scorer, scores, failures = Scorer.load(store, model), dict[str, Score](), list[str]()
    with Pipeline(scorer.feature_set, store, load()) as pipeline:
        rescorer = Rescorer(pipeline, scorer)
        for file in files:
            try:
                (scores[file],) = rescorer([Variant(Draft(uri_of(file), context))])
            except UsageError as error:
                failures.append(str(error))
    ranking = rank(scores, scorer.pair_residuals)
    if as_json:
        click.echo(json.dumps({**to_json({"ranking": ranking})["ranking"], "meaning": ASSOCIATIONS}))
    else:
        click.echo("\n".join([*lines(ranking), ASSOCIATIONS]))
    if failures:
        raise UsageError(f"{len(failures)} of {len(files)} files have no score: {'; '.join(failures)}")


@click.command()
@click.argument("files", nargs=-1)
@click.option("--post", "post_id", metavar="ID", help="Explain a post of the posts table instead of a FILE.")
@click.option("--model", default="fusion", show_default=True, help="NAME, NAME/VERSION or NAME@champion.")
@click.option(
    "--what-if",
    "specs",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"For one FILE: a change to try, instead of the default ones. Names: {', '.join(CHANGES)}.",
)
@click.option("--author", "author_id", help="Author as in the posts table; their posts are not shown as neighbours.")
@photo_set_options
@draft_options
@root_options
def command(
    files: tuple[str, ...],
    post_id: str | None,
    model: str,
    specs: tuple[str, ...],
    author_id: str | None,
    photos: bool,
    sound: str | None,
    context: Context,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Explain the score of one FILE: hook curve, segments, what-if; or rank several by the same author."""
    del debug  # common to all commands; unused here
    store = Store.open(root)
    if post_id is None and not files:
        raise ConfigError("name a FILE, or a post of the table (--post)")
    if post_id is not None:
        if files or author_id or photos or sound or context != Context():
            raise ConfigError("--post takes its video, caption and the rest from the table: leave out FILE and options")
        explain_post(store, model, post_id, specs, as_json=as_json)
        return
    if sound and not photos:
        raise ConfigError("--sound is the sound of a photo set: add --photos")
    if photos:
        slides = tuple(map(uri_of, files))
        draft = Draft(None, context, author_id, slides, uri_of(sound) if sound else None)
        explain_draft(store, model, ", ".join(files), draft, specs, as_json=as_json)
        return
    # Scores are kept by file name: a repeated one would silently be one draft.
    if len(set(files)) < len(files):
        raise ConfigError("a FILE is named twice")
    if len(files) > 1 and specs:
        raise ConfigError("--what-if is of one FILE: explain them one by one")
    if len(files) > 1:
        rank_files(store, model, files, context, as_json=as_json)
        return
    draft = Draft(uri_of(files[0]), context, author_id)
    explain_draft(store, model, files[0], draft, specs, as_json=as_json)


if __name__ == "__main__":
    execute(command)
