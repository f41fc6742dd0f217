"""Index of the words of posts: tantivy's, ranked by BM25, in the root at `search/words`.

tantivy (MIT) keeps an index as immutable files beside one that names them, which fits a root on S3; it ranks over all
of them alike and merges small ones. DuckDB would download its extension for this, and SQLite's FTS5 keeps one file,
which every update would replace as a whole. Words are split by `viral.search.terms`, so that any script is found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from viral.console.output import ProgressCallback
from viral.search.index import TEMPORARY, LocalFiles, refresh
from viral.search.snapshots import Snapshot, Snapshots
from viral.search.sources import Files, changed_buckets, covered
from viral.search.terms import terms
from viral.search.texts import PLACES, Texts, TextTables, digest
from viral.storage.store import Store
from viral.storage.temporary import temporary_folder
from viral.tables.bucketed import bucket_of

if TYPE_CHECKING:
    import tantivy

PREFIX = "search/words"
_KNOWN, _META = "known.parquet", "meta.json"  # hashes of the indexed texts; tantivy's list of its segments
_HEAP = 64_000_000  # bytes that the writer collects before it writes a segment; tantivy wants at least 15 MB
_CHECKPOINT = 200_000  # posts after which a long run commits, to continue there after a kill: a minute or two


@dataclass(frozen=True)
class WordMatch:
    """A post that holds all words: its BM25 score, the higher the better, and its texts."""

    post_id: str
    score: float
    texts: Texts


class WordIndex:
    """The words of one snapshot, in a folder of links."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        self._index = tantivy.Index.open(str(folder))
        self._searcher = self._index.searcher()

    @property
    def posts(self) -> int:
        """Number of posts with words."""
        return self._searcher.num_docs

    def search(self, phrases: Sequence[Sequence[str]], limit: int) -> list[WordMatch]:
        """Find the posts that hold all phrases, each a list of terms, in any of their texts; the best ones first."""
        hits = self._searcher.search(self._query(phrases), limit, count=False).hits
        matches = []
        for score, address in hits:
            document = self._searcher.doc(address)
            texts = json.loads(bytes(document.get_first("texts") or b"{}"))
            matches.append(WordMatch(str(document.get_first("post_id")), float(score), texts))
        return sorted(matches, key=lambda match: (-match.score, match.post_id))

    def _query(self, phrases: Sequence[Sequence[str]]) -> tantivy.Query:
        from tantivy import Occur, Query

        schema = self._index.schema
        queries = []
        for phrase in phrases:
            places = [
                Query.phrase_query(schema, place, list(phrase))
                if len(phrase) > 1
                else Query.term_query(schema, place, phrase[0])
                for place in PLACES
            ]
            queries.append((Occur.Must, Query.boolean_query([(Occur.Should, place) for place in places])))
        return Query.boolean_query(queries)


def refresh_words(store: Store, files: LocalFiles, progress: ProgressCallback | None = None) -> Snapshot:
    """Bring the index up to date with the tables of the root."""
    texts = TextTables(store)
    return refresh(
        Snapshots(store, PREFIX),
        texts.tables,
        lambda snapshots, before, listed: _WordBuilder(snapshots, before, texts, files).run(listed, progress),
    )


class _WordBuilder:
    """Adds to a snapshot what has changed since."""

    def __init__(self, snapshots: Snapshots, before: Snapshot, texts: TextTables, files: LocalFiles) -> None:
        self.snapshots, self.snapshot, self.texts, self.files = snapshots, before, texts, files
        self.known: dict[str, int] = {}

    def run(self, files: Files, progress: ProgressCallback | None) -> Snapshot | None:
        """Commit the changes; None if another process has committed meanwhile."""
        before = self.snapshot.about.get("sources", {})
        log2_buckets = max(table.log2_buckets() for table in self.texts.tables)
        buckets = changed_buckets(before, files, log2_buckets)
        with temporary_folder(TEMPORARY) as temporary:
            folder = temporary / "index"
            self._place(folder)
            indexed, changes = self._by_bucket(log2_buckets), 0
            writer = self._writer(folder)
            for number, bucket in enumerate(buckets, 1):
                new = self.texts.read(files, log2_buckets, bucket)
                changes += self._change(writer, indexed.get(bucket, []), new)
                if changes >= _CHECKPOINT and number < len(buckets):
                    if not self._commit(writer, folder, before):
                        return None
                    writer, changes = self._writer(folder), 0
                if progress:
                    progress(number, len(buckets))
            return self._commit(writer, folder, covered(files))

    def _place(self, folder: Path) -> None:
        self.files.place(self.snapshot, folder)
        if not self.snapshot.files:
            return
        known = pq.read_table(folder / _KNOWN)
        self.known = dict(zip(known["post_id"].to_pylist(), known["digest"].to_pylist(), strict=True))
        # Files that are written again must not be links: the others never change.
        content = (folder / _META).read_bytes()
        for name in (_KNOWN, _META):
            (folder / name).unlink()
        (folder / _META).write_bytes(content)

    def _by_bucket(self, log2_buckets: int) -> dict[int, list[str]]:
        """Indexed posts by bucket."""
        ids, found = list(self.known), dict[int, list[str]]()
        buckets = bucket_of(pa.chunked_array([pa.array(ids, pa.string())]), log2_buckets)
        for post_id, bucket in zip(ids, buckets.tolist(), strict=True):
            found.setdefault(bucket, []).append(post_id)
        return found

    def _writer(self, folder: Path) -> tantivy.IndexWriter:
        import tantivy

        # One thread, since the time goes into splitting words in Python.
        return tantivy.Index(_schema(), str(folder)).writer(_HEAP, 1)

    def _change(self, writer: tantivy.IndexWriter, old: Sequence[str], new: Mapping[str, Texts]) -> int:
        """Replace the posts of a bucket; return how many changed."""
        digests = {post_id: digest(texts) for post_id, texts in new.items()}
        changed = [post_id for post_id in digests if self.known.get(post_id) != digests[post_id]]
        gone = [post_id for post_id in old if post_id not in new]
        for post_id in (*gone, *changed):
            if self.known.pop(post_id, None) is not None:
                writer.delete_documents_by_term("post_id", post_id)
        for post_id in changed:
            writer.add_document(_document(post_id, new[post_id]))
            self.known[post_id] = digests[post_id]
        return len(gone) + len(changed)

    def _commit(
        self, writer: tantivy.IndexWriter, folder: Path, sources: Mapping[str, Sequence[str]]
    ) -> Snapshot | None:
        writer.commit()
        writer.wait_merging_threads()
        (folder / _KNOWN).unlink(missing_ok=True)
        columns = {"post_id": pa.array(self.known, pa.string()), "digest": pa.array(self.known.values(), pa.int64())}
        pq.write_table(pa.table(columns), folder / _KNOWN, compression="zstd")
        names = _live_files(folder)
        kept = {name: self.snapshot.files[name] for name in names if name in self.snapshot.files}
        added = {name: folder / name for name in (*names, _KNOWN, _META) if name not in kept}
        about = {"sources": sources, "posts": len(self.known)}
        committed = self.snapshots.commit(self.snapshot, kept, added, about)
        self.snapshot = committed or self.snapshot
        return committed


def _schema() -> tantivy.Schema:
    import tantivy

    builder = tantivy.SchemaBuilder().add_text_field("post_id", stored=True, tokenizer_name="raw", index_option="basic")
    for place in PLACES:
        builder = builder.add_text_field(place, tokenizer_name="whitespace")
    return builder.add_bytes_field("texts", stored=True).build()


def _document(post_id: str, texts: Texts) -> tantivy.Document:
    import tantivy

    document = tantivy.Document()
    document.add_text("post_id", post_id)
    for place, text in texts.items():
        document.add_text(place, " ".join(term.text for term in terms(text)))
    document.add_bytes("texts", json.dumps(texts, ensure_ascii=False).encode())
    return document


def _live_files(folder: Path) -> list[str]:
    """Names of the files of tantivy's segments; merged ones may still lie beside them."""
    segments = json.loads((folder / _META).read_bytes())["segments"]
    deletes = {segment["segment_id"].replace("-", ""): segment["deletes"] for segment in segments}
    names = []
    for path in folder.iterdir():
        segment, _, kind = path.name.partition(".")
        old_deletes = kind.endswith("del") and kind != f"{(deletes.get(segment) or {}).get('opstamp')}.del"
        if segment in deletes and not old_deletes:
            names.append(path.name)
    return sorted(names)
