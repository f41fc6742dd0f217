"""The texts of posts, from the posts table and the notes of feature tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from viral.search.sources import Files, feature_cards
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.places import posts_table
from viral.tables.schemas import feature_schema, note_column

PLACES = ("caption", "speech", "screen")
"""Where words are: in the caption or the hashtags; in the transcript, the platform's subtitles before recognised
speech; on the screen, in the stickers of the platform or recognised in the picture."""

SPEECH, OCR = "speech", "ocr"  # extractors whose notes are texts
_POST_COLUMNS = ("post_id", "caption", "hashtags", "subtitles", "sticker_texts")

Texts = dict[str, str]
"""Texts of a post that are not empty, by `PLACES`."""


class TextTables:
    """The tables of a root that hold texts of posts."""

    def __init__(self, store: Store) -> None:
        self.posts = posts_table(store)
        self.notes = list(_note_tables(store))

    @property
    def tables(self) -> list[BucketedTable]:
        """All of them."""
        return [self.posts, *self.notes]

    def read(self, files: Files, log2_buckets: int, bucket: int) -> dict[str, Texts]:
        """Read the texts of the posts of a bucket, by post; a post without any has no entry."""
        posts = self.posts.read(log2_buckets, bucket, _POST_COLUMNS, files[self.posts.prefix])
        notes: dict[str, dict[str, Any]] = {}
        for table in self.notes:
            columns = ["post_id", "finished_at", *_note_columns(table)]
            _add_notes(notes, table.read(log2_buckets, bucket, columns, files[table.prefix]))
        texts = ((row["post_id"], _texts(row, notes.get(row["post_id"], {}))) for row in posts.to_pylist())
        return {post_id: found for post_id, found in texts if found}


def digest(texts: Texts) -> int:
    """Hash texts to a number of 63 bits, by which a change of them is noticed."""
    content = json.dumps(texts, sort_keys=True).encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") >> 1


def _note_tables(store: Store) -> Iterator[BucketedTable]:
    for card in feature_cards(store):
        noted = [name for name in (SPEECH, OCR) if name in card.extractors]
        if noted:
            schema = feature_schema((), noted)
            yield BucketedTable(store, card.prefix, schema, key="post_id", newest_by="attempt", history=True)


def _note_columns(table: BucketedTable) -> list[str]:
    return [name for name in map(note_column, (SPEECH, OCR)) if name in table.schema.names]


def _add_notes(notes: dict[str, dict[str, Any]], rows: pa.Table) -> None:
    """Add the notes of a table, by post and column; of several tables, the one that finished last wins."""
    for name in rows.column_names[2:]:
        present = rows.select(["post_id", "finished_at", name]).filter(pc.is_valid(rows[name]))
        for row in present.to_pylist():
            known = notes.setdefault(row["post_id"], {})
            if name not in known or row["finished_at"] > known[name][0]:
                known[name] = row["finished_at"], json.loads(row[name])


def _texts(post: Mapping[str, Any], notes: Mapping[str, Any]) -> Texts:
    caption = post["caption"] or ""
    # A scrape may name hashtags that its caption lacks.
    tags = [tag for tag in post["hashtags"] or () if f"#{tag}".casefold() not in caption.casefold()]
    _, speech = notes.get(note_column(SPEECH), (None, {}))
    _, screen = notes.get(note_column(OCR), (None, {}))
    texts = {
        "caption": " ".join([caption, *(f"#{tag}" for tag in tags)]),
        "speech": post["subtitles"] or speech.get("text", ""),
        "screen": _lines([*(post["sticker_texts"] or ()), *screen.get("lines", ())]),
    }
    return {place: text.strip() for place, text in texts.items() if text.strip()}


def _lines(lines: Sequence[str | None]) -> str:
    return "\n".join(dict.fromkeys(line.strip() for line in lines if line and line.strip()))
