"""Posts joined with labels, bucket by bucket: the data of networks that are trained on the videos themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.labelled_features import TARGETS, RunningMoments, moments_of
from viral.tables.bucketed import BucketedTable

SPLITS = ("train", "validation")
_DIGESTS = 1 << 128  # digests of rows have 16 bytes; their sum wraps around here


@dataclass(frozen=True)
class VideoCounts:
    """Statistics of labelled videos before any is decoded; they add up over buckets.

    `posts[split]` has the number of posts of each bucket in order, `moments[target]` covers the training split without
    nulls. `digest` covers labels and video addresses, not the videos' content.
    """

    posts: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: dict.fromkeys(SPLITS, ()))
    moments: dict[str, RunningMoments] = field(default_factory=dict)
    digest: int = 0

    def __add__(self, other: VideoCounts) -> VideoCounts:
        moments = dict(self.moments)
        for name, added in other.moments.items():
            moments[name] = moments[name] + added if name in moments else added
        posts = {split: self.posts[split] + other.posts[split] for split in SPLITS}
        return VideoCounts(posts, moments, (self.digest + other.digest) % _DIGESTS)

    @property
    def data_hash(self) -> str:
        """A hash of all labels and addresses, independent of how they are stored."""
        return hashlib.sha256(str(self.digest).encode()).hexdigest()[:16]

    def mean(self, name: str) -> float:
        """The mean of a target over the training split, 0 where no post has it."""
        return float(self.moments[name].mean[0])


@dataclass(frozen=True)
class LabelledVideos:
    """The posts that have both a label and a video.

    Args:
        posts: the posts table.
        labels: a label table.
    """

    posts: BucketedTable
    labels: BucketedTable

    def log2_buckets(self) -> int:
        """The number of buckets to read it in, as a power of two."""
        return self.posts.log2_buckets()

    def read(self, log2_buckets: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        """One bucket's rows of these splits, sorted by post: label columns, then `video_uri`."""
        labels = self.labels.read(log2_buckets, bucket)
        labels = labels.filter(pc.is_in(labels["split"], pa.array(list(splits), pa.string())))
        posts = self.posts.read(log2_buckets, bucket, ["post_id", "video_uri"])
        uris = posts["video_uri"].take(pc.index_in(labels["post_id"], posts["post_id"]))
        return labels.append_column("video_uri", uris).filter(pc.is_valid(uris))

    def counts(self, log2_buckets: int, bucket: int) -> VideoCounts:
        """The statistics of one bucket."""
        rows = self.read(log2_buckets, bucket, SPLITS)
        train = rows.filter(pc.equal(rows["split"], "train"))
        posts = {split: (int(pc.sum(pc.equal(rows["split"], split)).as_py() or 0),) for split in SPLITS}
        return VideoCounts(posts, {name: _moments(train[name]) for name in TARGETS}, _digest(rows))


def _moments(column: pa.ChunkedArray) -> RunningMoments:
    return moments_of(column.drop_null().cast(pa.float64()).to_numpy()[:, None])


def _digest(rows: pa.Table) -> int:
    digests = (hashlib.blake2b(repr(sorted(row.items())).encode(), digest_size=16) for row in rows.to_pylist())
    return sum(int.from_bytes(digest.digest(), "big") for digest in digests) % _DIGESTS
