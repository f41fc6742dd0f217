"""Raw rows → posts and rejects, a column at a time: the one place where a scraped value is judged."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from viral.sources.hashtags import hashtags
from viral.sources.parsed import RAW_LIMIT, Broken, Parsed, RawBatch
from viral.sources.times import times
from viral.sources.values import Values, booleans, counts, durations, identifiers, text
from viral.tables.schemas import POSTS, REJECTS, SECONDS

_OTHER_KEYS = ("author_id", "sound_id")
_ANCHORED = re.compile(r"^(?:/|[A-Za-z][A-Za-z0-9+.-]*://)")


def assemble(
    batch: RawBatch, *, source: str, file: str, base_uri: str | None = None, scraped_at: datetime | None = None
) -> Parsed:
    """Reads every column of a batch; a row with a value that cannot be read becomes a reject, the others posts.

    `author_id` and `sound_id` that lost digits to floating point are null and no fault: two of them may stand for the
    same rounded number, and a wrong key is worse than none. `post_id` that did is a reject.

    Args:
        batch: the rows.
        source: name of the adapter, for the column `source` where the rows have none.
        file: where the rows come from, for the rejects.
        base_uri: folder that a relative `video_uri` is resolved against; None leaves it as it is.
        scraped_at: for rows that do not say when they were scraped; without a zone: UTC.
    """
    read: dict[str, pa.Array] = {}
    reasons: dict[int, list[str]] = {}
    for field in POSTS:
        read[field.name], found = _column(field, batch)
        label = batch.labels.get(field.name, field.name)
        shown = field.name if label == field.name else f"{field.name} ({label})"
        for position, what in found.items():
            reasons.setdefault(position, []).append(f"{shown}: {what}")
    read["hashtags"] = hashtags(batch.columns.get("hashtags"), read["caption"])
    read["source"] = pc.fill_null(read["source"], source)
    read["video_uri"] = _resolve(read["video_uri"], base_uri)
    if scraped_at is not None:
        read["scraped_at"] = pc.fill_null(read["scraped_at"], pa.scalar(_utc(scraped_at), SECONDS))
    broken = [*batch.broken, *(_reject(batch, position, reasons[position]) for position in reasons)]
    return Parsed(_posts(read, reasons), _rejects(broken, source, file), len(batch.rows) + len(batch.broken))


def _column(field: pa.Field, batch: RawBatch) -> Values:
    raw = batch.columns.get(field.name)
    if raw is None or field.name == "hashtags":
        raw = pa.nulls(len(batch.rows), pa.string())
    if field.name == "post_id":
        return _post_ids(raw)
    if field.name in _OTHER_KEYS:
        return identifiers(raw)[0], {}
    return _reader(field.type)(raw)


def _reader(kind: pa.DataType) -> Callable[[pa.Array], Values]:
    if pa.types.is_integer(kind):
        return counts
    if pa.types.is_floating(kind):
        return durations
    if pa.types.is_boolean(kind):
        return booleans
    return times if pa.types.is_timestamp(kind) else lambda raw: (text(raw), {})


def _post_ids(raw: pa.Array) -> Values:
    values, faults = identifiers(raw)
    nothing = pc.is_in(pc.utf8_lower(values), value_set=pa.array(["nan", "null", "none", "undefined"]))
    missing = pc.indices_nonzero(pc.or_kleene(nothing, pc.is_null(values))).to_pylist()
    return values, dict.fromkeys(missing, "is missing") | faults


def _resolve(uris: pa.Array, base_uri: str | None) -> pa.Array:
    if base_uri is None:
        return uris
    base = base_uri.rstrip("/")
    resolved = [
        uri if uri is None or _ANCHORED.match(uri) else f"{base}/{uri.removeprefix('./')}" for uri in uris.to_pylist()
    ]
    return pa.array(resolved, pa.string())


def _posts(read: dict[str, pa.Array], reasons: dict[int, list[str]]) -> pa.Table:
    size = len(read["post_id"])
    kept = np.setdiff1d(np.arange(size), np.fromiter(reasons, np.int64, len(reasons)), assume_unique=True)
    columns = [read[field.name] for field in POSTS]
    if len(kept) < size:
        columns = [column.take(pa.array(kept)) for column in columns]
    return pa.Table.from_arrays(columns, schema=POSTS)


def _reject(batch: RawBatch, position: int, reasons: list[str]) -> Broken:
    raw = json.dumps(batch.raw(position), ensure_ascii=False, default=str)
    return Broken(int(batch.rows[position]), "; ".join(reasons), raw)


def _rejects(broken: list[Broken], source: str, file: str) -> pa.Table:
    rows = [_reject_row(one, source, file) for one in sorted(broken, key=lambda one: one.row)]
    return pa.Table.from_pylist(rows, schema=REJECTS)


def _reject_row(broken: Broken, source: str, file: str) -> dict[str, object]:
    raw = broken.raw[:RAW_LIMIT].encode("utf-8", "replace").decode()
    parts = json.dumps([source, file, broken.row, broken.reason, raw])
    key = hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()
    named = {"reject_id": key, "source": source, "file": file}
    return {**named, "row": broken.row, "reason": broken.reason, "raw": raw}


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
