"""`viral search`: posts by words, by meaning, or by an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from viral.console.options import root_options
from viral.console.output import progress_bar, to_json
from viral.errors import ConfigError
from viral.search.searcher import Hit, Searcher
from viral.search.snippets import Snippet
from viral.storage.store import Store

_CAPTION_WIDTH = 60  # letters of a caption on a terminal


@click.command()
@click.argument("words", nargs=-1)
@click.option("--like", metavar="FILE|POST_ID", help="Find what looks like this video, picture or post.")
@click.option("--meaning", is_flag=True, help="Find captions that mean the same as WORDS, by their embeddings.")
@click.option("--by", metavar="EXTRACTOR", help="Extractor to compare by; default: that of images, or captions.")
@click.option("--feature-set", metavar="NAME", help="Set to compare in; default: the one with most rows.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 1000), help="Posts to list.")
@root_options
def command(
    words: tuple[str, ...],
    like: str | None,
    meaning: bool,
    by: str | None,
    feature_set: str | None,
    limit: int,
    root: str,
    as_json: bool,
    debug: bool,
) -> None:
    """Find the posts that hold all WORDS in caption, speech or screen text, or that are like an example.

    Words in quotation marks must follow each other. The first search of a root builds its index, which lies in the
    root; each later one adds what is new.
    """
    del debug  # handled by the caller of all commands
    if bool(words) == (like is not None):
        raise ConfigError("name WORDS to search for, or an example: --like FILE, --like POST_ID")
    if (by or feature_set) and like is None and not meaning:
        raise ConfigError("--by and --feature-set are of --like and --meaning")
    if meaning and like is not None:
        raise ConfigError("--meaning is of WORDS: leave it out with --like")
    with Searcher(Store.open(root), progress_bar("indexing", unit="part")) as searcher:
        if like is not None:
            is_file = like.startswith("s3://") or Path(like).expanduser().is_file()
            search = searcher.like_file if is_file else searcher.like_post
            hits = search(like, limit, by=by, feature_set=feature_set)
        elif meaning:
            hits = searcher.meaning(" ".join(words), limit, by=by, feature_set=feature_set)
        else:
            hits = searcher.words(" ".join(words), limit)
    if as_json:
        click.echo(to_json({"hits": [_values(hit) for hit in hits]}))
    else:
        click.echo("\n".join(_lines(hits)))


def _values(hit: Hit) -> dict[str, Any]:
    posted_at = hit.post["posted_at"]
    return {**hit.post, "posted_at": posted_at and posted_at.isoformat(), "score": hit.score} | {
        "found_in": {place: asdict(snippet) for place, snippet in hit.snippets.items()}
    }


def _lines(hits: Sequence[Hit]) -> list[str]:
    """Lines of a table; below each post that was found by words, where they are."""
    if not hits:
        return ["no post found"]
    cells = [[hit.post_id, f"{hit.score:.3f}", _day(hit), _views(hit), hit.post["author_id"] or ""] for hit in hits]
    names = ["post", "score", "posted", "views", "author"]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    lines = [_row([*names, "caption"], widths)]
    for hit, row in zip(hits, cells, strict=True):
        lines.append(_row([*row, "" if hit.snippets else _caption(hit)], widths))
        lines += [f"    {place:<8} {_marked(snippet)}" for place, snippet in hit.snippets.items()]
    return lines


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, [*widths, 0], strict=True)).rstrip()


def _day(hit: Hit) -> str:
    return f"{hit.post['posted_at']:%Y-%m-%d}" if hit.post["posted_at"] else ""


def _views(hit: Hit) -> str:
    return "" if hit.post["views"] is None else f"{hit.post['views']:,}"


def _caption(hit: Hit) -> str:
    text = _printable(" ".join((hit.post["caption"] or "").split()))
    return text if len(text) <= _CAPTION_WIDTH else f"{text[: _CAPTION_WIDTH - 1]}…"


def _marked(snippet: Snippet) -> str:
    """Return a snippet with its matches in bold, which only a terminal shows."""
    parts, end = list[str](), 0
    for first, last in snippet.matches:
        parts += [_printable(snippet.text[end:first]), click.style(_printable(snippet.text[first:last]), bold=True)]
        end = last
    return "".join([*parts, _printable(snippet.text[end:])])


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)
