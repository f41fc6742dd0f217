"""Parse raw rows into posts and rejects, column by column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence, Set

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.checks import check_posts
from viral.sources.counts import parse_counts
from viral.sources.hashtags import parse_hashtags
from viral.sources.identifiers import (
    addresses_of,
    author_in_addresses,
    parse_author_ids,
    parse_identifiers,
    parse_post_ids,
    times_in_ids,
)
from viral.sources.kinds import parse_kinds
from viral.sources.parsed import BrokenRow, Findings, ParsedBatch, RawBatch
from viral.sources.rejects import reject_table
from viral.sources.rows import dump_row
from viral.sources.settings import ReadSettings
from viral.sources.source_map import SourceMap
from viral.sources.text_lists import parse_text_lists
from viral.sources.times import mark_inexact, parse_times
from viral.sources.values import Faults, ParsedColumn, parse_booleans, parse_durations, strip_nulls, strip_text
from viral.tables.schemas import FROM_AGE, FROM_DAY, FROM_ID, PHOTOS, POSTS, TIMESTAMP

_TEXT_LISTS = ("sticker_texts", "effects")
_LATE = ("hashtags", "posted_at", "posted_at_from", "kind", "slides", *_TEXT_LISTS)  # after the columns that they need
_KEYS = ("author_id", "sound_id", "duet_of", "stitch_of")
_ABSOLUTE_URI = re.compile(r"^(?:/|[A-Za-z][A-Za-z0-9+.-]*://)")  # an absolute path or a URI
_DAY_SECONDS = 86_400.0


def assemble(
    batch: RawBatch,
    source_map: SourceMap,
    file: str | Sequence[str],
    *,
    base_uri: str | None = None,
    settings: ReadSettings | None = None,
) -> ParsedBatch:
    """Parse all columns of a batch. A value that cannot be read is null and counted; a row without a post is a reject.

    Rejects are rows without an identifier, or with one that lost digits, rows that are neither videos nor
    (unless `settings.photos`) photo sets, and errors that a scraper wrote in place of a post.

    Args:
        batch: the rows.
        source_map: the map; its name is the default of the column `source`.
        file: path or URI of the file, recorded in the rejects; several: row n is the only one of the n-th file.
        base_uri: folder that relative URIs of videos and pictures are resolved against; None leaves them unchanged.
        settings: how values are written.
    """
    settings = settings or ReadSettings()
    parser, source = _Parser(batch, settings), source_map.name
    columns = parser.parse_columns()
    # First the kind: whether a row is a photo set decides on its duration and its sound.
    columns["kind"], columns["slides"], no_posts = parse_kinds(batch, photos=settings.photos)
    _fill_defaults(columns, batch, source, base_uri, settings)
    # After the identifier and the page, which may hold the time.
    columns["posted_at"], columns["posted_at_from"] = parser.parse_posted_at(columns["post_id"], columns["page_url"])
    columns |= _parse_lists(batch, columns["caption"])
    reasons = parser.pop_rejected() | no_posts
    # Only the identifier, or being no post at all, costs a row; any other fault costs one value.
    good = np.setdiff1d(np.arange(len(batch.rows)), np.fromiter(reasons, np.int64, len(reasons)), assume_unique=True)
    posts = pa.Table.from_arrays([columns[field.name].take(pa.array(good)) for field in POSTS], schema=POSTS)
    broken = [*batch.broken, *(BrokenRow(int(batch.rows[i]), reasons[i], dump_row(batch.raw(i))) for i in reasons)]
    findings = parser.findings(posts, set(reasons), source_map.required)
    findings += check_posts(posts, batch.rows[good], source_map.unread)
    rows = len(batch.rows) + len(batch.broken)
    return ParsedBatch(posts, reject_table(broken, source, file), rows, source, findings)


def _parse_lists(batch: RawBatch, captions: pa.Array) -> dict[str, pa.Array]:
    """Parse the columns whose values are lists of texts."""
    columns = {name: parse_text_lists(batch.lists.get(name, [None] * len(batch.rows))) for name in _TEXT_LISTS}
    return {"hashtags": parse_hashtags(batch.lists.get("hashtags"), captions), **columns}


class _Parser:
    """Parses the columns of a batch, and keeps what could not be read: column → index → message."""

    def __init__(self, batch: RawBatch, settings: ReadSettings) -> None:
        self._batch, self._settings = batch, settings
        self.faults: dict[str, Faults] = {
            name: dict(found) for name, found in batch.faults.items() if name in POSTS.names
        }

    def title(self, name: str) -> str:
        """Name of a column for messages, with that in the file if it differs."""
        label = self._batch.labels.get(name, name)
        return name if label == name else f"{name} ({label})"

    def pop_rejected(self) -> dict[int, str]:
        """Return index → reason for the rows without a usable identifier, which then count among no faults."""
        label = self.title("post_id")
        return {i: f"{label}: {fault}" for i, fault in self.faults.pop("post_id", {}).items()}

    def parse_columns(self) -> dict[str, pa.Array]:
        """Parse all columns that need no other."""
        # In the order of the schema, which is that of the table below.
        return {field.name: self._parse(field) for field in POSTS if field.name not in _LATE}

    def _parse(self, field: pa.Field) -> pa.Array:
        # A column that the map does not name is parsed as well, as nulls, so that all have their types.
        raw = self._batch.columns.get(field.name)
        values, faults = self._parse_column(
            field, raw if raw is not None else pa.nulls(len(self._batch.rows), pa.string())
        )
        if field.name not in _KEYS:  # keys that lost digits are null, which is no fault of the post
            self.faults[field.name] = self.faults.get(field.name, {}) | faults
        return values

    def _parse_column(self, field: pa.Field, raw: pa.Array) -> ParsedColumn:
        own = self._batch.settings.get(field.name, {})
        settings = self._settings.for_column(own)
        if field.name == "post_id":
            return parse_post_ids(raw, force=settings.force)
        if field.name in _KEYS:
            return parse_author_ids(raw) if field.name == "author_id" else parse_identifiers(raw)
        if pa.types.is_integer(field.type):
            return parse_counts(raw, settings.locale)
        if pa.types.is_floating(field.type):
            return parse_durations(raw, own.get("unit"))
        if pa.types.is_boolean(field.type):
            return parse_booleans(raw)
        if pa.types.is_timestamp(field.type):
            return parse_times(raw, settings)
        return strip_text(raw) if field.name in ("caption", "subtitles") else strip_nulls(raw), {}

    def parse_posted_at(self, ids: pa.Array, pages: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Parse the times of posting; a missing one, or a day alone, is taken from the identifier that holds it.

        Returns the times, and for the inexact ones where they are from.
        """
        raw = self._batch.columns.get("posted_at")
        raw = pa.nulls(len(self._batch.rows), pa.string()) if raw is None else raw
        settings = self._settings.for_column(self._batch.settings.get("posted_at", {}))
        times, faults = parse_times(raw, settings)
        self.faults["posted_at"] = self.faults.get("posted_at", {}) | faults
        day, age = mark_inexact(raw)
        # Null, not NaN, where an identifier holds no time: the masks below rely on it.
        in_ids = pa.array(times_in_ids(ids, pages), from_pandas=True)
        seconds = pc.divide(times.cast(pa.int64()).cast(pa.float64()), 1e6)
        # Where the two are days apart, one of them is something else: the stated day stays.
        near = pc.fill_null(pc.less(pc.abs(pc.subtract(in_ids, seconds)), 2 * _DAY_SECONDS), False)  # in any zone
        from_id = pc.and_(pc.is_valid(in_ids), pc.or_(pc.is_null(times), pc.and_(pc.or_(day, age), near)))
        exact = pc.multiply(in_ids, 1e6).cast(pa.int64(), safe=False).cast(TIMESTAMP)
        times = pc.if_else(from_id, exact, times)
        known = pc.is_valid(times)
        # In this order: an exact time of the identifier replaces a day or an age, and is then the origin.
        conditions = pc.make_struct(from_id, pc.and_(day, known), pc.and_(age, known))
        origins = pc.case_when(conditions, FROM_ID, FROM_DAY, FROM_AGE).cast(pa.string())
        stated = self._batch.columns.get("posted_at_from")  # of a table of ours
        return times, origins if stated is None else pc.coalesce(origins, strip_nulls(stated))

    def findings(self, posts: pa.Table, rejected: set[int], required: Set[str]) -> Findings:
        """Count the values that were given, and those that could not be read, in the rows that are posts.

        Columns without any value are left out unless they are `required`, except the views, without which there is no
        label.
        """
        unreadable, examples = Counter[str](), dict[str, str]()
        for name, faults in self.faults.items():
            kept = [i for i in faults if i not in rejected]
            if kept:
                unreadable[self.title(name)] = len(kept)
                examples[self.title(name)] = faults[kept[0]]
        # Zeros stay: a column that is mapped and always empty deserves a warning.
        values = Counter[str]()
        for name in self._batch.labels:
            count = len(posts) - posts[name].null_count if name in POSTS.names else 1
            if count or name in required or name == "views":
                values[self.title(name)] = count + unreadable[self.title(name)]
        return Findings(values, +unreadable, examples)


def _fill_defaults(
    columns: dict[str, pa.Array], batch: RawBatch, source: str, base_uri: str | None, settings: ReadSettings
) -> None:
    """Fill what other columns or the caller know."""
    columns["source"] = pc.fill_null(columns["source"], source)
    columns["video_uri"] = _resolve_uris(columns["video_uri"], base_uri)
    columns["slides"] = _resolve_slides(columns["slides"], base_uri)
    photos = pc.fill_null(pc.equal(columns["kind"], PHOTOS), False)
    no_length = pc.and_(photos, pc.fill_null(pc.equal(columns["duration_seconds"], 0.0), False))  # TikTok says 0
    columns["duration_seconds"] = pc.if_else(no_length, None, columns["duration_seconds"])
    # Only of a photo set the sound is a file of its own.
    columns["sound_uri"] = pc.if_else(photos, _resolve_uris(columns["sound_uri"], base_uri), columns["sound_uri"])
    if "post_id" in batch.columns:
        columns["page_url"] = pc.coalesce(columns["page_url"], addresses_of(batch.columns["post_id"]))
    columns["author_id"] = pc.coalesce(columns["author_id"], author_in_addresses(columns["page_url"]))
    if settings.scraped_at is not None:
        columns["scraped_at"] = pc.fill_null(columns["scraped_at"], pa.scalar(settings.scraped_at, TIMESTAMP))


def _resolve_uris(uris: pa.Array, base_uri: str | None) -> pa.Array:
    if base_uri is None:
        return uris
    base, paths = base_uri.rstrip("/"), uris.to_pylist()
    resolved = [p if p is None or _ABSOLUTE_URI.match(p) else f"{base}/{p.removeprefix('./')}" for p in paths]
    return pa.array(resolved, pa.string())


def _resolve_slides(slides: pa.Array, base_uri: str | None) -> pa.Array:
    # All slides of all posts in one pass, then back into lists by the old offsets.
    return pa.ListArray.from_arrays(slides.offsets, _resolve_uris(slides.values, base_uri), mask=slides.is_null())
