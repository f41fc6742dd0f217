"""`Searcher`: the posts of a root by words, by meaning, and by an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from viral.console.output import ProgressCallback
from viral.errors import UsageError
from viral.search.examples import IMAGE, TEXT, Embedding, ExampleEncoder, find_embedding
from viral.search.index import LocalFiles, opened
from viral.search.segments import Floats
from viral.search.snapshots import Snapshot
from viral.search.snippets import Snippet, snippets
from viral.search.terms import phrases
from viral.search.vector_index import VectorIndex, VectorMatch, refresh_vectors
from viral.search.word_index import WordIndex, refresh_words
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable, bucket_of
from viral.tables.places import posts_table
from viral.tables.posts import no_posts_error

POST_COLUMNS = ("post_id", "author_id", "posted_at", "views", "caption", "page_url", "video_uri")
_SPARE = 10  # more matches than asked for, since posts that are no longer in the table are left out


@dataclass(frozen=True)
class Hit:
    """A post that was found.

    Attributes:
        score: BM25 of words, the higher the better; else the cosine of the vectors, 1 for equal ones.
        post: `POST_COLUMNS` of the post.
        snippets: where the words are (`caption`, `speech`, `screen`), with the text around them; empty if it was
            found otherwise.
    """

    post_id: str
    score: float
    post: dict[str, Any]
    snippets: dict[str, Snippet]


class Searcher:
    """Searches a root. Each search first brings its index up to date, which takes what is new since the last one.

    The indexes lie in the root at `search/`; an object holds the files that it has read until it is closed.
    Thread-safe.

    Args:
        store: the root.
        progress: called while an index is built, with the finished parts and all.
    """

    def __init__(self, store: Store, progress: ProgressCallback | None = None) -> None:
        self.store, self._progress = store, progress
        self._files, self._lock = LocalFiles(store), Lock()
        self._words: tuple[Snapshot, WordIndex] | None = None
        self._vectors: dict[str, tuple[Snapshot, VectorIndex]] = {}
        self._encoders: dict[str, ExampleEncoder] = {}

    def words(self, query: str, limit: int = 10) -> list[Hit]:
        """Find the posts that hold all words of a query in caption, speech or screen text, the best ones first.

        Case and diacritics do not matter. Words in quotation marks must follow each other.

        Raises:
            UsageError: the query has no word, or the root has no posts.
        """
        wanted = phrases(query)
        if not wanted:
            raise UsageError(f"{query!r} has no word to search for")
        with self._lock:
            index = self._word_index()
            matches = index.search(wanted, limit + _SPARE)
        found = [(match.post_id, match.score, snippets(match.texts, wanted)) for match in matches]
        return self._hits(found, limit)

    def meaning(
        self, text: str, limit: int = 10, *, by: str | None = None, feature_set: str | None = None
    ) -> list[Hit]:
        """Find the posts whose captions are nearest to a text by their embeddings.

        Raises:
            UsageError: no feature table has embeddings of captions.
        """
        embedding = find_embedding(self.store, TEXT, by, feature_set)
        with self._lock:
            vector = self._encoder(embedding).text(text)
        return self._nearest(embedding, vector, limit)

    def like_post(
        self, post_id: str, limit: int = 10, *, by: str | None = None, feature_set: str | None = None
    ) -> list[Hit]:
        """Find the other posts that are nearest to a post, nearest first.

        Args:
            post_id: the example.
            limit: number of posts.
            by: extractor to compare by; None: the one of images.
            feature_set: name of the set whose table to search, if several have the extractor.

        Raises:
            UsageError: the post has no such vector, or no feature table has.
        """
        embedding = find_embedding(self.store, IMAGE, by, feature_set)
        with self._lock:
            vector = self._vector_index(embedding).vector(post_id)
        if vector is None:
            raise UsageError(
                f"the post {post_id} has no vector of {embedding.spec.name} in {embedding.card.prefix}: "
                "name another post, a FILE, or backfill first (viral backfill)"
            )
        return self._nearest(embedding, vector, limit, without=post_id)

    def like_file(
        self, file: str, limit: int = 10, *, by: str | None = None, feature_set: str | None = None
    ) -> list[Hit]:
        """Find the posts that are nearest to a video or a picture, nearest first. Arguments as of `like_post`.

        Raises:
            UsageError: the file cannot be read, or no feature table has such vectors.
        """
        embedding = find_embedding(self.store, IMAGE, by, feature_set)
        with self._lock:
            vector = self._encoder(embedding).file(file)
        return self._nearest(embedding, vector, limit)

    def close(self) -> None:
        """End the child process that decodes files, and remove temporary files."""
        for encoder in self._encoders.values():
            encoder.close()
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _nearest(self, embedding: Embedding, vector: Floats, limit: int, without: str | None = None) -> list[Hit]:
        with self._lock:
            matches: list[VectorMatch] = self._vector_index(embedding).search(vector, limit + _SPARE)
        found = [(match.post_id, match.similarity, dict[str, Snippet]()) for match in matches]
        return self._hits([hit for hit in found if hit[0] != without], limit)

    def _word_index(self) -> WordIndex:
        if not posts_table(self.store).files():
            raise no_posts_error(self.store)
        known = self._words[0] if self._words else None
        new = opened(self._files, lambda: refresh_words(self.store, self._files, self._progress), known)
        if new is not None:
            self._words = new[0], WordIndex(new[1])
            self._forget()
        assert self._words is not None
        return self._words[1]

    def _vector_index(self, embedding: Embedding) -> VectorIndex:
        source, key = embedding.source, embedding.source.snapshots.prefix
        known = self._vectors[key][0] if key in self._vectors else None
        new = opened(self._files, lambda: refresh_vectors(source, self._files, self._progress), known)
        if new is not None:
            self._vectors[key] = new[0], VectorIndex(*new)
            self._forget()
        return self._vectors[key][1]

    def _forget(self) -> None:
        """Remove the downloads of snapshots that were replaced: a searcher may be open for days."""
        words = [self._words[0]] if self._words else []
        self._files.keep_only([*words, *(snapshot for snapshot, _ in self._vectors.values())])

    def _encoder(self, embedding: Embedding) -> ExampleEncoder:
        key = embedding.source.snapshots.prefix
        if key not in self._encoders:
            self._encoders[key] = ExampleEncoder(self.store, embedding)
        return self._encoders[key]

    def _hits(self, found: Sequence[tuple[str, float, dict[str, Snippet]]], limit: int) -> list[Hit]:
        """Add the posts; leave out those that are no longer in the table."""
        posts = _rows_of_posts(posts_table(self.store), [post_id for post_id, _, _ in found])
        hits = [Hit(post_id, score, posts[post_id], parts) for post_id, score, parts in found if post_id in posts]
        return hits[:limit]


def _rows_of_posts(table: BucketedTable, post_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read `POST_COLUMNS` of posts, by id, from the buckets that hold any of them."""
    ids, log2_buckets = pa.array(post_ids, pa.string()), table.log2_buckets()
    found: dict[str, dict[str, Any]] = {}
    for bucket in sorted(set(bucket_of(pa.chunked_array([ids]), log2_buckets).tolist())):
        rows = table.read(log2_buckets, bucket, POST_COLUMNS)
        rows = rows.filter(pc.is_in(rows["post_id"], ids))
        found |= {row["post_id"]: row for row in rows.to_pylist()}
    return found
