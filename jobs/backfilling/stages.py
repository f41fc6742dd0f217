"""The stages of a backfill: posts in, parts of the feature table out, and a line a post for the driver."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pyarrow as pa

import viral
from jobs.runtime.metrics import Meters
from viral.config import Settings
from viral.extractors.extractor import Context
from viral.extractors.feature_set import FeatureSet
from viral.extractors.popularity import Popularity
from viral.features.attempts import Retry, pending
from viral.features.feature_table import features_table
from viral.features.pipeline import GROUP, Outcome
from viral.features.reader import Job
from viral.features.reuse import Completion, Preparation, Prepared
from viral.sounds.history import history, with_history
from viral.storage.store import Store
from viral.tables.bucketed import Parts, share_of
from viral.tables.places import posts_table
from viral.tables.schemas import note_column

POST_COLUMNS = (
    *("post_id", "video_uri", "caption", "hashtags"),
    *("posted_at", "author_followers", "sound_original"),
)


@dataclass(frozen=True)
class Work:
    """What all workers of a backfill are told; posts and features are in 2^bits buckets."""

    store: Store
    feature_set: FeatureSet
    settings: Settings
    retry: Retry | None
    bits: int


@dataclass(frozen=True)
class Chunk:
    """A unit of work: one share, of so many, of the posts of a bucket that are still to be processed."""

    bucket: int
    share: int
    shares: int


class DecodeChunk:
    """The first stage: finds the posts of a chunk that are still to be processed, and decodes them in a sandbox."""

    def __init__(self, work: Work) -> None:
        self.work, self.meters = work, Meters(work.feature_set.name)
        self.posts, self.features = posts_table(work.store), features_table(work.store, work.feature_set)
        self.sounds = sounds_known(work.store, work.feature_set)
        self.preparation = Preparation(work.feature_set, work.store, work.settings)

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Chunks in, groups of decoded posts out, as bytes: numpy's arrays hold frames that are resized already."""
        for chunk in _chunks(batch):
            for group in self.groups(chunk):
                yield {"post": [pickle.dumps(each, protocol=5) for each in group]}

    def groups(self, chunk: Chunk) -> Iterator[list[Tried]]:
        """The posts of a chunk, decoded, a few at a time.

        What has a row already is left out: a chunk that Ray runs again (a worker died) costs no video twice.
        """
        posts = self.posts.read(self.work.bits, chunk.bucket, POST_COLUMNS)
        if self.sounds is not None:
            posts = with_history(posts, self.sounds, self.work.bits, chunk.bucket)
        shares = share_of(posts["post_id"], self.work.bits, chunk.shares)
        posts = posts.filter(pa.array(shares == chunk.share))
        todo = pending(posts, self.features, self.work.bits, chunk.bucket, self.work.retry).to_pylist()
        attempts = {post["post_id"]: post["attempt"] for post in todo}
        prepared = self.preparation.run([job_of(post) for post in todo], self.work.bits, chunk.bucket)
        while group := list(islice(prepared, GROUP)):
            for post in group:
                self.meters.decoded(post.decoded)
            yield [Tried(post, attempts[post.decoded.job.post_id]) for post in group]


@dataclass(frozen=True)
class Tried:
    """A decoded post, and the number of this attempt at it."""

    post: Prepared
    attempt: int


class EncodePosts:
    """The second stage: turns decoded posts into rows of the feature table, with its networks on `device`."""

    def __init__(self, work: Work, device: str = "cpu") -> None:
        import torch

        work.feature_set.check_same()
        self.work, self.meters = work, Meters(work.feature_set.name)
        self.features = features_table(work.store, work.feature_set)
        torch.set_num_threads(1)
        self.completion = Completion(work.feature_set, device=device)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Write the posts' rows as one part a bucket, then say what became of each post."""
        group: list[Tried] = [pickle.loads(each) for each in batch["post"]]  # noqa: S301 - by the first stage
        return self.written(self.rows(group))

    def rows(self, group: Sequence[Tried]) -> pa.Table:
        """The rows of the feature table for these posts."""
        outcomes = self.completion.run([each.post for each in group])
        made = [
            _row(outcome, each.attempt, self.work.feature_set) for outcome, each in zip(outcomes, group, strict=True)
        ]
        return pa.Table.from_pylist(made, schema=self.features.schema)

    def written(self, rows: pa.Table) -> dict[str, Any]:
        """What is told of rows that are now in the table."""
        self.features.append(rows, self.work.bits)
        self.meters.written(rows)
        return summary_of(rows)


class ExtractChunk:
    """Both stages in one worker, which holds the extractors and a sandbox for as long as the job lasts.

    Ray gives it one core: the nets run on one thread, and the sandbox's child decodes while they do. What was decoded
    never leaves it.
    """

    def __init__(self, work: Work) -> None:
        self.decode, self.encode = DecodeChunk(work), EncodePosts(work)

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Write the posts' rows as one part a chunk, then say what became of each post."""
        for chunk in _chunks(batch):
            rows = [self.encode.rows(group) for group in self.decode.groups(chunk)]
            if rows:
                yield self.encode.written(pa.concat_tables(rows))


def _chunks(batch: dict[str, Any]) -> Iterator[Chunk]:
    for values in zip(*(batch[each.name] for each in fields(Chunk)), strict=True):
        yield Chunk(*map(int, values))


def summary_of(rows: pa.Table) -> dict[str, Any]:
    """What the driver is told of each post: small, whatever the vectors are."""
    return {"seconds": [json.dumps(dict(each)) for each in rows["stage_seconds"].to_pylist()]}


def sounds_known(store: Store, feature_set: FeatureSet, posts: int = 0) -> Parts | None:
    """The popularity of sounds before each post, if the feature set looks at it; `posts` rows of posts there are.

    Raises:
        TableError: it is not there, or was noted when there were fewer.
    """
    return history(store, posts) if Popularity.name in feature_set.dims else None


def job_of(post: dict[str, Any]) -> Job:
    """A row of the posts table as a job: its video, and what was known at the moment of posting."""
    hashtags = post.get("hashtags")
    context = Context(
        caption=post["caption"],
        hashtags=None if hashtags is None else tuple(hashtags),
        posted_at=post["posted_at"],
        author_followers=post["author_followers"],
        sound_original=post["sound_original"],
        sound_posts_before=post.get("sound_posts_before"),
        sound_uses_before=post.get("sound_uses_before"),
    )
    return Job(post["post_id"], post["video_uri"], context)


def _row(outcome: Outcome, attempt: int, feature_set: FeatureSet) -> dict[str, Any]:
    return {
        "post_id": outcome.post_id,
        "attempt": attempt,
        "status": outcome.status,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "finished_at": datetime.now(UTC),
        "stage_seconds": list(outcome.stage_seconds.items()),
        "feature_set": feature_set.fingerprint,
        "code_version": viral.__version__,
        **asdict(outcome.facts),
        **{name: outcome.vectors.get(name) for name in feature_set.dims},
        **{note_column(name): outcome.notes.get(name) for name in feature_set.tells},
    }
