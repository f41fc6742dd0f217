"""Training posts that a model keeps: what is unlike all of them is not known, and the nearest ones explain a score.

Each stream is brought to a few dozen numbers by principal components, with one more that says how much of the vector
they leave out. How strange a post is, is its distance to its k-th nearest training post in the strangest of its
streams (Ramaswamy et al. 2000; Sun et al. 2022 for vectors of networks), in units of what is usual for fresh posts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from viral.datasets.streams import Batch, Stream
from viral.storage.store import Store

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

ROWS = 5000
"""Training posts that are kept at most."""

_COMPARED = 2000  # of them, for whether a post is known: it is asked of every post that is scored
_LEAF = 64  # of the tree that finds the nearest: twice as fast as with ten

WORDS = ("post_id", "author_id", "posted_at", "target", "is_viral")
"""What is kept of a training post beside its place in each stream."""

K = 5
USUAL = 0.99
"""Share of fresh posts that are known, of those that are like the training posts."""

_CONTEXT = "metadata"
"""The modality that says nothing of what the post is: an unusual hour does not make a video strange."""

_COMPONENTS = 32
_POSTS_A_COMPONENT = 10  # at least: with fewer they describe these posts, and every other one is strange
_LEAST_LEFT_OUT = 0.25  # of a standardised column: what is less than this in all training posts is no measure
_LEAST_HELD = 50  # posts: with fewer, the training posts themselves say what is usual, too
_ROWS_FILE, _SPACES_FILE = "reference.parquet", "reference.safetensors"


@dataclass(frozen=True)
class Space:
    """Where the vectors (N, dim) of a stream become places (N, C + 1)."""

    mean: Floats
    scale: Floats
    components: Floats
    deviations: Floats
    left_out: float

    def places(self, vectors: npt.NDArray[np.floating[Any]]) -> Floats:
        """The places of those vectors, float32."""
        standard = (vectors - self.mean) / self.scale
        along = standard @ self.components.T
        rest = np.sqrt(np.maximum((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0))
        return np.concatenate([along / self.deviations, rest[:, None] / self.left_out], axis=1, dtype=np.float32)


@dataclass(frozen=True)
class Kept:
    """One stream of the kept posts: their places (N, C + 1), NaN where absent, and the distance that is usual."""

    space: Space
    places: Floats
    usual: float


class Reference:
    """The kept posts of a model.

    Args:
        rows: `WORDS` of each, (N,).
        streams: by name of the stream.
        content: the streams that a post is known or strange by.
        limit: how strange a post may be and still be known.
    """

    def __init__(self, rows: pa.Table, streams: Mapping[str, Kept], content: Sequence[str], limit: float) -> None:
        self.rows, self.streams, self.content, self.limit = rows, streams, tuple(content), limit
        self._near = {name: _Near(streams[name].places) for name in content}

    @classmethod
    def fit(cls, streams: Sequence[Stream], train: Batch, rows: pa.Table, held: Batch) -> Reference:
        """Learns what is usual.

        Args:
            streams: of the model.
            train: vectors of a sample of the training posts.
            rows: `WORDS` of the same posts.
            held: vectors of posts that it was not trained on.
        """
        content = [s.name for s in streams if s.modality != _CONTEXT] or [s.name for s in streams]
        kept = {}
        for at, stream in enumerate(streams):
            there = train.present[:, at]
            if there.sum() > K:
                kept[stream.name] = _kept(stream, train.vectors[stream.name], there, held, at)
        made = cls(rows, kept, [name for name in content if name in kept], 1.0)
        fresh = made.strangeness(streams, held)
        fresh = fresh[np.isfinite(fresh)]
        enough = len(fresh) >= _LEAST_HELD
        return cls(rows, kept, made.content, max(1.0, float(np.quantile(fresh, USUAL))) if enough else 1.0)

    def strangeness(self, streams: Sequence[Stream], batch: Batch) -> npt.NDArray[np.float64]:
        """How unlike the training posts each post is, (N,); up to `limit` it is known. NaN: nothing to tell by."""
        worst = np.full(len(batch.present), np.nan)
        for name, rows, places in self._placed(streams, batch):
            distances = self._near[name].distances(places)
            worst[rows] = np.fmax(worst[rows], distances / self.streams[name].usual)
        return worst

    def known(self, streams: Sequence[Stream], batch: Batch) -> Bools:
        """Whether each post is like those that the model was trained on, (N,)."""
        return ~(self.strangeness(streams, batch) > self.limit)

    def nearest(self, streams: Sequence[Stream], batch: Batch) -> npt.NDArray[np.float64]:
        """The distance of each post to each kept one, (N, kept), over what both have: the mean over streams.

        In units of what is usual in each stream; infinite where they have nothing in common.
        """
        from scipy.spatial.distance import cdist

        total, shared = np.zeros((2, len(batch.present), self.rows.num_rows))
        for name, rows, places in self._placed(streams, batch):
            kept = self.streams[name]
            there = np.flatnonzero(np.isfinite(kept.places[:, 0]))
            total[np.ix_(rows, there)] += cdist(places, kept.places[there]) / kept.usual
            shared[np.ix_(rows, there)] += 1
        return np.where(shared > 0, total / np.maximum(shared, 1), np.inf)

    def _placed(self, streams: Sequence[Stream], batch: Batch) -> Iterator[tuple[str, Rows, Floats]]:
        """For each stream that tells of the content: its name, the posts that have it, and their places."""
        for at, stream in enumerate(streams):
            rows = np.flatnonzero(batch.present[:, at])
            if stream.name in self.content and len(rows):
                yield stream.name, rows, self.streams[stream.name].space.places(batch.vectors[stream.name][rows])

    def save(self, store: Store, key: str) -> None:
        """Write it as two files below `key`, the one that says that it is whole last."""
        from safetensors.numpy import save

        table = self.rows
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, each in self.streams.items():
            table = table.append_column(f"place_{name}", _lists(each.places))
            numbers = [each.usual, each.space.left_out, self.limit, float(name in self.content)]
            arrays |= {f"{name} {part}": np.ascontiguousarray(getattr(each.space, part)) for part in _ARRAYS}
            arrays[f"{name} numbers"] = np.array(numbers)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        store.write(f"{key}/{_ROWS_FILE}", sink.getvalue())
        store.write(f"{key}/{_SPACES_FILE}", save(arrays))

    @classmethod
    def load(cls, store: Store, key: str) -> Reference | None:
        """What `save` wrote there; None where there is none."""
        from safetensors.numpy import load

        try:
            arrays = load(store.read(f"{key}/{_SPACES_FILE}"))
        except FileNotFoundError:
            return None
        table = pq.read_table(pa.BufferReader(store.read(f"{key}/{_ROWS_FILE}")))
        kept, content, limit = {}, [], 1.0
        for name in dict.fromkeys(each.rpartition(" ")[0] for each in arrays):
            usual, left_out, limit, tells = arrays[f"{name} numbers"].tolist()
            mean, scale, components, deviations = (arrays[f"{name} {part}"] for part in _ARRAYS)
            space = Space(mean, scale, components, deviations, left_out)
            kept[name] = Kept(space, _matrix(table[f"place_{name}"], len(space.deviations) + 1), usual)
            content += [name] if tells else []
        return cls(table.select(list(WORDS)), kept, content, limit)


_ARRAYS = ("mean", "scale", "components", "deviations")


class _Near:
    """Some of the kept posts that have one stream, found by distance."""

    def __init__(self, places: Floats) -> None:
        from scipy.spatial import KDTree

        self.found = KDTree(places[np.isfinite(places[:, 0])][:_COMPARED], leafsize=_LEAF)

    def distances(self, places: Floats, k: int = K) -> npt.NDArray[np.float64]:
        """From each place to the k-th nearest, (N,)."""
        distances: npt.NDArray[np.float64] = self.found.query(places, [k])[0][:, 0]
        return distances


def _kept(stream: Stream, vectors: Floats, there: Bools, held: Batch, at: int) -> Kept:
    own = vectors[there].astype(np.float64)
    space = _space(own)
    places = np.full((len(vectors), len(space.deviations) + 1), np.nan, np.float32)
    places[there] = space.places(own)
    fresh, near = held.present[:, at], _Near(places)
    found = [near.distances(space.places(held.vectors[stream.name][fresh]))] if fresh.any() else []
    if fresh.sum() < _LEAST_HELD:
        found.append(near.distances(places[there][:_COMPARED], K + 1))  # each is its own nearest
    return Kept(space, places, max(*(float(np.quantile(distances, USUAL)) for distances in found), 1e-3))


def _space(vectors: npt.NDArray[np.float64]) -> Space:
    from sklearn.decomposition import PCA

    mean, scale = vectors.mean(axis=0), vectors.std(axis=0)
    scale = np.where(scale > 1e-6 * (1 + np.abs(mean)), scale, 1.0)
    standard = (vectors - mean) / scale
    count = min(_COMPONENTS, vectors.shape[1], 1 + len(vectors) // _POSTS_A_COMPONENT)
    found = PCA(count, svd_solver="randomized", random_state=0).fit(standard)
    worth = found.explained_variance_ > 1e-3
    components, deviations = found.components_[worth], np.sqrt(found.explained_variance_[worth])
    rest = (standard**2).sum(axis=1) - ((standard @ components.T) ** 2).sum(axis=1)
    left_out = max(float(np.sqrt(np.maximum(rest, 0).mean())), _LEAST_LEFT_OUT * np.sqrt(vectors.shape[1]))
    narrow = [np.ascontiguousarray(each, np.float32) for each in (mean, scale, components, deviations)]
    return Space(narrow[0], narrow[1], narrow[2], narrow[3], left_out)


def _lists(places: Floats) -> pa.Array:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(places.ravel()), places.shape[1])
    return lists.cast(pa.list_(pa.float32()))


def _matrix(column: pa.ChunkedArray, width: int) -> Floats:
    flat: Floats = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, width)
