"""Parse raw rows into posts and rejects, column by column."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.hashtags import parse_hashtags
from viral.sources.parsed import MAX_RAW_CHARACTERS, BrokenRow, ParsedBatch, RawBatch
from viral.sources.times import parse_times
from viral.sources.values import (
    ParsedColumn,
    parse_booleans,
    parse_counts,
    parse_durations,
    parse_identifiers,
    strip_text,
)
from viral.tables.schemas import POSTS, REJECTS, TIMESTAMP

_FOREIGN_KEYS = ("author_id", "sound_id")  # they identify an author and a sound, not the post
_ABSOLUTE_URI = re.compile(r"^(?:/|[A-Za-z][A-Za-z0-9+.-]*://)")  # an absolute path or a URI


def assemble(
    batch: RawBatch,
    *,
    source: str,
    file: str | Sequence[str],
    base_uri: str | None = None,
    scraped_at: datetime | None = None,
) -> ParsedBatch:
    """Parse all columns of a batch. Rows with an unreadable value become rejects, the others posts.

    An `author_id` or `sound_id` that lost digits to floating point becomes null: different identifiers may round to the
    same number, and a wrong key is worse than none. A row whose `post_id` lost digits is rejected.

    Args:
        batch: the rows.
        source: name of the adapter, default of the column `source`.
        file: path or URI of the file, recorded in the rejects; several: row n is the only one of the n-th file.
        base_uri: folder that relative values of `video_uri` are resolved against; None leaves them unchanged.
        scraped_at: default of the column `scraped_at`; UTC if it is naive.
    """
    columns: dict[str, pa.Array] = {}
    reasons: dict[int, list[str]] = {}
    for field in POSTS:
        columns[field.name], faults = _parse_column(field, batch)
        label = batch.labels.get(field.name, field.name)
        title = field.name if label == field.name else f"{field.name} ({label})"
        for i, fault in faults.items():
            reasons.setdefault(i, []).append(f"{title}: {fault}")
    columns["hashtags"] = parse_hashtags(batch.columns.get("hashtags"), columns["caption"])
    columns["source"] = pc.fill_null(columns["source"], source)
    columns["video_uri"] = _resolve_uris(columns["video_uri"], base_uri)
    if scraped_at is not None:
        default = scraped_at if scraped_at.tzinfo else scraped_at.replace(tzinfo=UTC)
        columns["scraped_at"] = pc.fill_null(columns["scraped_at"], pa.scalar(default, TIMESTAMP))
    broken = [*batch.broken, *(_reject(batch, i, reasons[i]) for i in reasons)]
    rows = len(batch.rows) + len(batch.broken)
    return ParsedBatch(_posts(columns, reasons), _reject_table(broken, source, file), rows)


def _parse_column(field: pa.Field, batch: RawBatch) -> ParsedColumn:
    raw = batch.columns.get(field.name)
    if raw is None or field.name == "hashtags":  # hashtags need the parsed caption: `assemble` parses them last
        raw = pa.nulls(len(batch.rows), pa.string())
    if field.name == "post_id":
        return _parse_post_ids(raw)
    if field.name in _FOREIGN_KEYS:
        return parse_identifiers(raw)[0], {}  # lost digits are no fault here
    return _parser(field.type)(raw)


def _parser(dtype: pa.DataType) -> Callable[[pa.Array], ParsedColumn]:
    if pa.types.is_integer(dtype):
        return parse_counts
    if pa.types.is_floating(dtype):
        return parse_durations
    if pa.types.is_boolean(dtype):
        return parse_booleans
    return parse_times if pa.types.is_timestamp(dtype) else lambda raw: (strip_text(raw), {})


def _parse_post_ids(raw: pa.Array) -> ParsedColumn:
    values, faults = parse_identifiers(raw)
    missing = pc.indices_nonzero(pc.is_null(values)).to_pylist()
    return values, dict.fromkeys(missing, "is missing") | faults


def _resolve_uris(uris: pa.Array, base_uri: str | None) -> pa.Array:
    if base_uri is None:
        return uris
    base, paths = base_uri.rstrip("/"), uris.to_pylist()
    resolved = [p if p is None or _ABSOLUTE_URI.match(p) else f"{base}/{p.removeprefix('./')}" for p in paths]
    return pa.array(resolved, pa.string())


def _posts(columns: dict[str, pa.Array], reasons: dict[int, list[str]]) -> pa.Table:
    size = len(columns["post_id"])
    good = np.setdiff1d(np.arange(size), np.fromiter(reasons, np.int64, len(reasons)), assume_unique=True)
    arrays = [columns[field.name] for field in POSTS]
    if len(good) < size:
        arrays = [array.take(pa.array(good)) for array in arrays]
    return pa.Table.from_arrays(arrays, schema=POSTS)


def _reject(batch: RawBatch, i: int, reasons: list[str]) -> BrokenRow:
    return BrokenRow(int(batch.rows[i]), "; ".join(reasons), json.dumps(batch.raw(i), ensure_ascii=False, default=str))


def _reject_table(broken: list[BrokenRow], source: str, file: str | Sequence[str]) -> pa.Table:
    rows = []
    for reject in sorted(broken, key=lambda reject: reject.row):
        where = (file, reject.row) if isinstance(file, str) else (file[reject.row - 1], 1)
        rows.append(_reject_row(reject, source, *where))
    return pa.Table.from_pylist(rows, schema=REJECTS)


def rejected_file(source: str, file: str, reason: str) -> ParsedBatch:
    """Build the batch of a file that cannot be read at all: one reject."""
    name = file.encode(errors="replace").decode()
    rejects = _reject_table([BrokenRow(0, reason, "")], source, name)
    return ParsedBatch(POSTS.empty_table(), rejects, 1)


def is_utf8(text: str) -> bool:
    """Whether a text can be stored; the name of a file may hold bytes that are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reject_row(reject: BrokenRow, source: str, file: str, row: int) -> dict[str, object]:
    raw = reject.raw[:MAX_RAW_CHARACTERS].encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored
    content = json.dumps([source, file, row, reject.reason, raw])
    reject_id = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()  # 128 bits: no collisions among rejects
    values = (reject_id, source, file, row, reject.reason, raw)
    return dict(zip(REJECTS.names, values, strict=True))
