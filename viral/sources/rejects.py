"""Rows of the rejects table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import pyarrow as pa

from viral.sources.parsed import MAX_RAW_CHARACTERS, BrokenRow, ParsedBatch
from viral.tables.schemas import POSTS, REJECTS


def reject_table(broken: Sequence[BrokenRow], source: str, file: str | Sequence[str]) -> pa.Table:
    """Build the rejects of a file, in the order of their rows; of several files, row n is the only one of the n-th."""
    rows = []
    for reject in sorted(broken, key=lambda reject: reject.row):
        where = (file, reject.row) if isinstance(file, str) else (file[reject.row - 1], 1)
        rows.append(_reject_row(reject, source, *where))
    return pa.Table.from_pylist(rows, schema=REJECTS)


def rejected_file(source: str, file: str, reason: str) -> ParsedBatch:
    """Build the batch of a file that cannot be read at all: one reject."""
    name = file.encode(errors="replace").decode()
    rejects = reject_table([BrokenRow(0, reason, "")], source, name)
    return ParsedBatch(POSTS.empty_table(), rejects, 1, source)


def is_utf8(text: str) -> bool:
    """Whether a text can be stored; the name of a file may hold bytes that are none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reject_row(reject: BrokenRow, source: str, file: str, row: int) -> dict[str, object]:
    raw = reject.raw[:MAX_RAW_CHARACTERS].encode("utf-8", "replace").decode()  # half a surrogate pair cannot be stored
    # The identifier covers the content: an ingest that is repeated stores the same rejects once.
    content = json.dumps([source, file, row, reject.reason, raw])
    reject_id = hashlib.blake2b(content.encode(), digest_size=16).hexdigest()  # 128 bits: no collisions among rejects
    values = (reject_id, source, file, row, reject.reason, raw)
    return dict(zip(REJECTS.names, values, strict=True))
