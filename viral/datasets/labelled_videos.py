"""Videos joined with labels, bucket by bucket, for training networks end to end."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.labelled_features import DIGEST_MODULUS, TARGETS, RunningMoments, compute_moments
from viral.tables.bucketed import BucketedTable

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class VideoCounts:
    """Statistics of labelled videos, without decoding any; `+` combines buckets.

    `posts[split]` is the number of posts of each bucket in order. `moments[target]` covers the training split without
    nulls, `digest` the labels and video addresses, but not the videos' content.
    """

    posts: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: dict.fromkeys(SPLITS, ()))
    moments: dict[str, RunningMoments] = field(default_factory=dict)
    digest: int = 0

    def __add__(self, other: VideoCounts) -> VideoCounts:
        moments = dict(self.moments)
        for name, added in other.moments.items():
            moments[name] = moments[name] + added if name in moments else added
        posts = {split: self.posts[split] + other.posts[split] for split in SPLITS}
        return VideoCounts(posts, moments, (self.digest + other.digest) % DIGEST_MODULUS)

    @property
    def data_hash(self) -> str:
        """Hash of all labels and video URIs, independent of how they are stored."""
        return hashlib.sha256(str(self.digest).encode()).hexdigest()[:16]

    def mean(self, name: str) -> float:
        """Return the mean of a target over the training split, 0 if no post has it."""
        return float(self.moments[name].mean[0])


@dataclass(frozen=True)
class LabelledVideos:
    """Posts with a label and a video, from the posts table and a label table."""

    posts: BucketedTable
    labels: BucketedTable

    def log2_buckets(self) -> int:
        """Binary logarithm of the number of buckets to read."""
        return self.posts.log2_buckets()

    def read(self, log2_buckets: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        """Read a bucket's rows of these splits, sorted by post: label columns, then `video_uri`."""
        labels = self.labels.read(log2_buckets, bucket)
        labels = labels.filter(pc.is_in(labels["split"], pa.array(list(splits), pa.string())))
        posts = self.posts.read(log2_buckets, bucket, ["post_id", "video_uri"])
        # Null for posts without a row or a video; the filter below drops both.
        uris = posts["video_uri"].take(pc.index_in(labels["post_id"], posts["post_id"]))
        return labels.append_column("video_uri", uris).filter(pc.is_valid(uris))

    def counts(self, log2_buckets: int, bucket: int) -> VideoCounts:
        """Compute the statistics of one bucket."""
        rows = self.read(log2_buckets, bucket, SPLITS)
        train = rows.filter(pc.equal(rows["split"], "train"))
        posts = {split: (int(pc.sum(pc.equal(rows["split"], split)).as_py() or 0),) for split in SPLITS}
        return VideoCounts(posts, {name: _moments(train[name]) for name in TARGETS}, _digest(rows))


def _moments(column: pa.ChunkedArray) -> RunningMoments:
    return compute_moments(column.drop_null().cast(pa.float64()).to_numpy()[:, None])


def _digest(rows: pa.Table) -> int:
    # Sorted by column, so that the order of columns in a file does not matter.
    digests = (hashlib.blake2b(repr(sorted(row.items())).encode(), digest_size=16) for row in rows.to_pylist())
    return sum(int.from_bytes(digest.digest(), "big") for digest in digests) % DIGEST_MODULUS
