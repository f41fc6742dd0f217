"""`viral explain FILE…`: why a draft scores as it does, or which of several is ahead. Here and now, without Ray."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import click

from jobs.runtime.options import draft_options
from jobs.scoring.files import card_of, uri_of
from viral.config import load
from viral.console.commands import execute
from viral.console.options import common
from viral.errors import ConfigError
from viral.explain import ASSOCIATIONS
from viral.explain.drafts import ranked
from viral.explain.explanation import explain
from viral.explain.text import lines
from viral.explain.variants import Draft, Rescorer, Variant
from viral.explain.whatif import CHANGES, Change, change
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.scoring.scorer import Scorer
from viral.storage.store import Store


def explain_file(
    store: Store,
    model: str,
    file: str,
    context: Context,
    changes: list[Change] | None,
    *,
    author_id: str | None = None,
    as_json: bool,
) -> None:
    """Print the score of one file and all that explains it.

    Raises:
        UsageError: it cannot be scored, or a change does not fit it.
    """
    scorer = Scorer.load(store, model)
    with Pipeline(scorer.feature_set, store, load()) as pipeline:
        found = explain(Rescorer(pipeline, scorer), Draft(uri_of(file), context, author_id), changes)
    if as_json:
        of_file = {"file": file, "status": found.outcome.status, "detail": found.outcome.detail}
        explained = {"explanation": found.to_dict(), "meaning": ASSOCIATIONS}
        click.echo(json.dumps({**of_file, **found.scored.to_dict(), **explained}))
        return
    card = card_of(replace(found.outcome, post_id=file), found.scored)
    click.echo("\n".join([card, *found.lines(), ASSOCIATIONS]))


def rank_files(store: Store, model: str, files: tuple[str, ...], context: Context, *, as_json: bool) -> None:
    """Print several files in the order of their scores, with the probability that one does better than another.

    Raises:
        UsageError: one of them cannot be scored.
    """
    scorer = Scorer.load(store, model)
    with Pipeline(scorer.feature_set, store, load()) as pipeline:
        scores = Rescorer(pipeline, scorer)([Variant(Draft(uri_of(file), context)) for file in files])
    ranking = ranked(dict(zip(files, scores, strict=True)), scorer.gaps)
    if as_json:
        click.echo(json.dumps({**asdict(ranking), "meaning": ASSOCIATIONS}))
        return
    click.echo("\n".join([*lines(ranking), ASSOCIATIONS]))


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--model", default="fusion", show_default=True, help="NAME or NAME/VERSION.")
@click.option(
    "--what-if",
    "asked",
    multiple=True,
    metavar="NAME=VALUE",
    help=f"Of one FILE: try this, in place of what is usually tried. {', '.join(CHANGES)}.",
)
@click.option(
    "--author", "author_id", help="Whose it is, as the posts table names authors: their posts are no others'."
)
@draft_options
@common
def command(
    files: tuple[str, ...],
    model: str,
    asked: tuple[str, ...],
    author_id: str | None,
    context: Context,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Explain the score of one FILE: hook curve, segments, what-if; or rank several by the same author."""
    del debug  # of all commands; this one has nothing more to show
    store = Store.open(root)
    if len(set(files)) < len(files):
        raise ConfigError("a FILE is named twice")
    if len(files) > 1 and asked:
        raise ConfigError("--what-if is of one FILE: explain them one by one")
    if len(files) > 1:
        rank_files(store, model, files, context, as_json=as_json)
        return
    changes = [change(each, context) for each in asked] if asked else None
    explain_file(store, model, files[0], context, changes, author_id=author_id, as_json=as_json)


if __name__ == "__main__":
    execute(command)
