"""Reference posts of a model: training posts stored beside it, to detect novel posts and to find the nearest ones.

Each stream is reduced to a few dozen coordinates by principal components, plus one for the residual norm of the vector.
The novelty of a post is its distance to its k-th nearest reference post in the most novel of its streams (Ramaswamy et
al. 2000; Sun et al. 2022 for network embeddings), in units of what is typical for unseen posts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from viral.datasets.streams import Batch, Stream, dense
from viral.storage.store import Store

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

ROWS = 5000  # reference posts at most: 33 float32 coordinates each are 660 kB per stream
_INDEXED = 2000  # of these in the k-d tree, which every scored post queries
_LEAF = 64  # posts per leaf of the k-d tree: twice as fast as scipy's default of 10

REFERENCE_COLUMNS = ("post_id", "author_id", "posted_at", "target", "is_viral")
"""Columns of a reference post, besides its coordinates."""

K = 5  # the k-th neighbour: a single near-duplicate among the training posts does not make a post familiar
QUANTILE = 0.99
"""Fraction of unseen posts that count as in distribution, if they come from where the training posts come from."""

_CONTEXT = "metadata"
"""Modality that does not describe the content: posting at an unusual hour does not make a video novel."""
_COMPONENTS = 32  # coordinates per stream at most; the residual norm stands for the rest
_ROUNDING = 1e-5  # of squared distances by a matrix product in float32, relative to its terms; fifty times as seen
_FAR = 1e15  # its square fits into float32
_POSTS_PER_COMPONENT = 10  # at least: more components would fit these posts, and every other post would be novel
_MIN_RESIDUAL = 0.25  # per standardised column: a smaller residual over all training posts is no usable unit
_MIN_VALIDATION = 50  # posts: with fewer, typical distances come from the training posts too
_ROWS_FILE, _ARRAYS_FILE = "reference.parquet", "reference.safetensors"
_ARRAYS = ("mean", "scale", "components", "deviations")  # of a `StreamProjection`, as stored


@dataclass(frozen=True)
class StreamProjection:
    """Projects the vectors (N, dim) of a stream onto coordinates (N, C + 1)."""

    mean: Floats
    scale: Floats
    components: Floats
    deviations: Floats
    residual_scale: float

    @classmethod
    def fit(cls, vectors: npt.NDArray[np.float64]) -> StreamProjection:
        """Fit standardisation and principal components on vectors (N, dim)."""
        from sklearn.decomposition import PCA

        mean, scale = vectors.mean(axis=0), vectors.std(axis=0)
        scale = np.where(scale > 1e-6 * (1 + np.abs(mean)), scale, 1.0)  # constant up to float32 rounding: not scaled
        standard = (vectors - mean) / scale
        count = min(_COMPONENTS, vectors.shape[1], 1 + len(vectors) // _POSTS_PER_COMPONENT)
        # Seeded, so that the same posts give the same coordinates.
        pca = PCA(count, svd_solver="randomized", random_state=0).fit(standard)
        useful = pca.explained_variance_ > 1e-3  # of a variance of 1 per column: less is noise
        components, deviations = pca.components_[useful], np.sqrt(pca.explained_variance_[useful])
        residual = (standard**2).sum(axis=1) - ((standard @ components.T) ** 2).sum(axis=1)
        residual_scale = max(float(np.sqrt(np.maximum(residual, 0).mean())), _MIN_RESIDUAL * np.sqrt(vectors.shape[1]))
        arrays = [np.ascontiguousarray(array, np.float32) for array in (mean, scale, components, deviations)]
        return cls(arrays[0], arrays[1], arrays[2], arrays[3], residual_scale)

    def transform(self, vectors: npt.NDArray[np.floating[Any]]) -> Floats:
        """Return the coordinates of the vectors, in units of one standard deviation, as float32."""
        standard = vectors - self.mean
        standard /= self.scale
        along = standard @ self.components.T
        residual = np.sqrt(np.maximum((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0))
        scaled = residual[:, None] / self.residual_scale
        return np.concatenate([along / self.deviations, scaled], axis=1, dtype=np.float32)


@dataclass(frozen=True)
class ReferenceStream:
    """One stream of the reference posts: coordinates (N, C + 1), NaN where absent.

    `typical_distance` is the `QUANTILE` of the distance of unseen posts to their k-th nearest reference post.
    """

    projection: StreamProjection
    coordinates: Floats
    typical_distance: float


class Reference:
    """The reference posts of a model.

    Args:
        rows: `REFERENCE_COLUMNS`, (N,).
        streams: by stream name.
        content: names of the streams that describe the content.
        limit: the largest novelty of a post that is in distribution.
    """

    def __init__(
        self, rows: pa.Table, streams: Mapping[str, ReferenceStream], content: Sequence[str], limit: float
    ) -> None:
        self.rows, self.streams, self.content, self.limit = rows, streams, tuple(content), limit
        self._indexes = {name: _Index(streams[name].coordinates) for name in content}

    @classmethod
    def fit(cls, streams: Sequence[Stream], train: Batch, rows: pa.Table, validation: Batch) -> Reference:
        """Fit the projections, the typical distances and the novelty limit.

        Args:
            streams: the model's inputs.
            train: vectors of a sample of the training posts.
            rows: `REFERENCE_COLUMNS` of the same posts.
            validation: vectors of posts that the model was not trained on.
        """
        # Posting time and followers say nothing about what is in the video; without any other stream, they must do.
        numbers = dense(streams)
        content = [s.name for s in numbers if s.modality != _CONTEXT] or [s.name for s in numbers]
        fitted = {}
        for index, stream in enumerate(streams):
            present = train.present[:, index]
            if present.sum() > K and not stream.sparse:
                fitted[stream.name] = _fit_stream(stream, train.vectors[stream.name], present, validation, index)
        # The limit needs the novelty of validation posts, which needs everything else of a reference: built twice.
        unlimited = cls(rows, fitted, [name for name in content if name in fitted], 1.0)
        novelty = unlimited.novelty(streams, validation)
        novelty = novelty[np.isfinite(novelty)]
        limit = max(1.0, float(np.quantile(novelty, QUANTILE))) if len(novelty) >= _MIN_VALIDATION else 1.0
        return cls(rows, fitted, unlimited.content, limit)

    def novelty(self, streams: Sequence[Stream], batch: Batch) -> npt.NDArray[np.float64]:
        """Distance of each post (N,) to the reference posts, 1 being typical; NaN without a content stream."""
        novelty = np.full(len(batch.present), np.nan)
        for name, rows, coordinates in self._project(streams, batch):
            distances = self._indexes[name].distances(coordinates)
            # The stream in which a post is most unusual decides.
            novelty[rows] = np.fmax(novelty[rows], distances / self.streams[name].typical_distance)
        return novelty

    def in_distribution(self, streams: Sequence[Stream], batch: Batch) -> Bools:
        """Whether each post (N,) is like the training posts; True for a post without a content stream."""
        novel = np.zeros(len(batch.present), bool)
        with np.errstate(over="ignore", invalid="ignore"):  # numbers whose squares float32 cannot hold are novel
            for name, rows, coordinates in self._project(streams, batch):
                novel[rows] |= self._indexes[name].beyond(coordinates, self.streams[name].typical_distance, self.limit)
        return ~novel

    def distances(self, streams: Sequence[Stream], batch: Batch) -> npt.NDArray[np.float64]:
        """Distance of each post to each reference post (N, R): the mean over the streams that both have.

        In units of the typical distance per stream; infinite for posts without a common stream.
        """
        from scipy.spatial.distance import cdist

        total, shared = np.zeros((2, len(batch.present), self.rows.num_rows))
        for name, rows, coordinates in self._project(streams, batch):
            stream = self.streams[name]
            present = np.flatnonzero(np.isfinite(stream.coordinates[:, 0]))
            total[np.ix_(rows, present)] += cdist(coordinates, stream.coordinates[present]) / stream.typical_distance
            shared[np.ix_(rows, present)] += 1
        return np.where(shared > 0, total / np.maximum(shared, 1), np.inf)

    def _project(self, streams: Sequence[Stream], batch: Batch) -> Iterator[tuple[str, Rows, Floats]]:
        """Yield the name of each content stream, the rows of the posts that have it, and their coordinates."""
        for index, stream in enumerate(streams):
            rows = np.flatnonzero(batch.present[:, index])
            if stream.name in self.content and len(rows):
                vectors = batch.vectors[stream.name]
                vectors = vectors if len(rows) == len(vectors) else vectors[rows]
                yield stream.name, rows, self.streams[stream.name].projection.transform(vectors)

    def save(self, store: Store, key: str) -> None:
        """Write two files below `key`; the arrays come last, and `load` looks for them first."""
        from safetensors.numpy import save

        table = self.rows
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, stream in self.streams.items():
            projection = stream.projection
            table = table.append_column(f"place_{name}", _lists(stream.coordinates))
            numbers = [stream.typical_distance, projection.residual_scale, self.limit, float(name in self.content)]
            arrays |= {f"{name} {array}": np.ascontiguousarray(getattr(projection, array)) for array in _ARRAYS}
            arrays[f"{name} numbers"] = np.array(numbers)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        store.write(f"{key}/{_ROWS_FILE}", sink.getvalue())
        store.write(f"{key}/{_ARRAYS_FILE}", save(arrays))

    @classmethod
    def load(cls, store: Store, key: str) -> Reference | None:
        """Read what `save` wrote below `key`; None if there is nothing."""
        from safetensors.numpy import load

        try:
            arrays = load(store.read(f"{key}/{_ARRAYS_FILE}"))
        except FileNotFoundError:
            return None
        table = pq.read_table(pa.BufferReader(store.read(f"{key}/{_ROWS_FILE}")))
        # `limit` is one number for all streams; each stream's numbers repeat it.
        streams, content, limit = {}, [], 1.0
        for name in dict.fromkeys(array.rpartition(" ")[0] for array in arrays):
            typical_distance, residual_scale, limit, is_content = arrays[f"{name} numbers"].tolist()
            mean, scale, components, deviations = (arrays[f"{name} {array}"] for array in _ARRAYS)
            projection = StreamProjection(mean, scale, components, deviations, residual_scale)
            coordinates = _matrix(table[f"place_{name}"], len(deviations) + 1)
            streams[name] = ReferenceStream(projection, coordinates, typical_distance)
            content += [name] if is_content else []
        return cls(table.select(list(REFERENCE_COLUMNS)), streams, content, limit)


class _Index:
    """A k-d tree over the reference posts that have one stream."""

    def __init__(self, coordinates: Floats) -> None:
        from scipy.spatial import KDTree

        # Posts without the stream have NaN for coordinates.
        points = coordinates[np.isfinite(coordinates[:, 0])][:_INDEXED]
        self.tree = KDTree(points, leafsize=_LEAF)
        squares = (points**2).sum(axis=1)
        self._product = np.concatenate([-2 * points, squares[:, None]], axis=1).T.copy()
        self._largest = float(squares.max(initial=0))

    def distances(self, coordinates: Floats, k: int = K) -> npt.NDArray[np.float64]:
        """Return the distance of each post to its k-th nearest reference post, (N,)."""
        distances: npt.NDArray[np.float64] = self.tree.query(coordinates, [k])[0][:, 0]
        return distances

    def beyond(self, coordinates: Floats, unit: float, limit: float) -> Bools:
        """Whether the distance of each post to its K-th nearest reference post is more than `limit` units, (N,).

        A matrix product decides most posts, a hundred times faster than the tree, which decides those at the limit.
        """
        squares, radius = (coordinates**2).sum(axis=1), min(unit * limit, _FAR) ** 2
        distances = np.append(coordinates, np.ones((len(coordinates), 1), np.float32), axis=1) @ self._product
        # Squared distances without the post's own square, which moves to the other side.
        rounding = _ROUNDING * (squares + (self._largest + radius))
        near: Bools = np.count_nonzero(distances < (radius - squares - rounding)[:, None], axis=1) >= K
        if near.all():
            return ~near
        far: Bools = np.count_nonzero(distances <= (radius - squares + rounding)[:, None], axis=1) < K
        far |= ~np.isfinite(squares)  # they are too large for float32
        unclear = np.flatnonzero(~(near | far))
        if len(unclear):
            far[unclear] = self.distances(coordinates[unclear]) / unit > limit
        return np.asarray(far)


def _fit_stream(stream: Stream, vectors: Floats, present: Bools, validation: Batch, index: int) -> ReferenceStream:
    train = vectors[present].astype(np.float64)
    projection = StreamProjection.fit(train)
    coordinates = np.full((len(vectors), len(projection.deviations) + 1), np.nan, np.float32)
    coordinates[present] = projection.transform(train)
    unseen, tree = validation.present[:, index], _Index(coordinates)
    samples = []
    if unseen.any():
        samples.append(tree.distances(projection.transform(validation.vectors[stream.name][unseen])))
    if unseen.sum() < _MIN_VALIDATION:
        samples.append(tree.distances(coordinates[present][:_INDEXED], K + 1))  # the nearest one is the post itself
    # The larger of the two, where both are known: too short a distance would call familiar posts novel.
    typical = max(*(float(np.quantile(distances, QUANTILE)) for distances in samples), 1e-3)  # never 0: it divides
    return ReferenceStream(projection, coordinates, typical)


def _lists(coordinates: Floats) -> pa.Array:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(coordinates.ravel()), coordinates.shape[1])
    return lists.cast(pa.list_(pa.float32()))


def _matrix(column: pa.ChunkedArray, width: int) -> Floats:
    flat: Floats = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(-1, width)
