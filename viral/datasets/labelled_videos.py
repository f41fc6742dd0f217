"""Posts joined with labels, bucket by bucket: what a network is trained on that looks at the videos themselves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from viral.datasets.labelled_features import TARGETS, Moments, moments_of
from viral.tables.bucketed import Parts, bits_for

SPLITS = ("train", "validation")
_DIGESTS = 1 << 128


@dataclass(frozen=True)
class VideoCounts:
    """What is known of labelled videos before any is read; it adds up over buckets.

    `posts[split]` is the number of posts of each bucket, in order of bucket; `moments[name]` are those of the training
    split, where a log rate is known. `digest` is of labels and of addresses: not of what the files hold.
    """

    posts: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: dict.fromkeys(SPLITS, ()))
    moments: dict[str, Moments] = field(default_factory=dict)
    digest: int = 0

    def __add__(self, other: VideoCounts) -> VideoCounts:
        moments = dict(self.moments)
        for name, more in other.moments.items():
            moments[name] = moments[name] + more if name in moments else more
        posts = {split: self.posts[split] + other.posts[split] for split in SPLITS}
        return VideoCounts(posts, moments, (self.digest + other.digest) % _DIGESTS)

    @property
    def data_hash(self) -> str:
        """A hash of all labels and addresses, the same for the same data however it is stored."""
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

    posts: Parts
    labels: Parts

    def bits(self) -> int:
        """The number of buckets to read it in, as a power of two."""
        return bits_for(sum(part.rows for part in self.posts.parts()))

    def read(self, bits: int, bucket: int, splits: Sequence[str]) -> pa.Table:
        """One bucket's rows of those splits, in order of post: label columns, then `video_uri`."""
        labels = self.labels.read(bits, bucket)
        labels = labels.filter(pc.is_in(labels["split"], pa.array(list(splits), pa.string())))
        posts = self.posts.read(bits, bucket, ["post_id", "video_uri"])
        uris = posts["video_uri"].take(pc.index_in(labels["post_id"], posts["post_id"]))
        return labels.append_column("video_uri", uris).filter(pc.is_valid(uris))

    def counts(self, bits: int, bucket: int) -> VideoCounts:
        """What one bucket adds."""
        rows = self.read(bits, bucket, SPLITS)
        train = rows.filter(pc.equal(rows["split"], "train"))
        posts = {split: (int(pc.sum(pc.equal(rows["split"], split)).as_py() or 0),) for split in SPLITS}
        return VideoCounts(posts, {name: _moments(train[name]) for name in TARGETS}, _digest(rows))


def _moments(column: pa.ChunkedArray) -> Moments:
    return moments_of(column.drop_null().cast(pa.float64()).to_numpy()[:, None])


def _digest(rows: pa.Table) -> int:
    digests = (hashlib.blake2b(repr(sorted(row.items())).encode(), digest_size=16) for row in rows.to_pylist())
    return sum(int.from_bytes(each.digest(), "big") for each in digests) % _DIGESTS
