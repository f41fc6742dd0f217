"""Clusters of posts that show the same video: the same file, or near-duplicates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.duplicates.pairs import DuplicatePairs, Hashes, near_duplicates
from viral.duplicates.perceptual_hash import VIDEO_HASH

VIDEO_COLUMNS = ("sha256", "video_hash", "seen_seconds")
"""Columns of a feature table that tell videos apart."""


@dataclass(frozen=True)
class VideoClusters:
    """Cluster of each post: `codes` (N,), from 0; a post whose video is unknown is alone.

    `pairs` are the near-duplicates that connect the clusters, as indexes of posts.
    """

    codes: npt.NDArray[np.int64]
    pairs: DuplicatePairs


def video_clusters(videos: pa.Table) -> VideoClusters:
    """Cluster posts by `VIDEO_COLUMNS`, any of which may be null. A copy of a copy belongs to the cluster."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    files = _file_codes(videos["sha256"])
    _, first = np.unique(files, return_index=True)  # of posts with the same file, one is compared with other files
    pairs = _near_duplicates(videos.select(["video_hash", "seen_seconds"]).take(pa.array(first)), first)
    # Near-duplicates, and each post with the first one of the same file.
    edges = [pairs.first, pairs.second], [np.arange(len(files)), first[files]]
    rows, columns = (np.concatenate(ends) for ends in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(rows), bool), (rows, columns)), (len(files), len(files)))
    return VideoClusters(connected_components(graph, directed=False)[1].astype(np.int64), pairs)


def count_unhashed(videos: pa.Table) -> int:
    """Number of posts whose file was read without a perceptual hash: by an earlier version, or without its pictures."""
    return int(pc.sum(pc.and_(pc.is_valid(videos["sha256"]), pc.is_null(videos["video_hash"]))).as_py() or 0)


def later_copies(posts: pa.Table, clusters: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Mask of the posts with the video of an earlier post, (N,).

    Args:
        posts: `post_id` and `posted_at` (null sorts last).
        clusters: of the posts, (N,).
    """
    keyed = posts.select(["posted_at", "post_id"]).append_column("cluster", pa.array(clusters))
    order = np.asarray(pc.sort_indices(keyed, [(name, "ascending") for name in ("cluster", "posted_at", "post_id")]))
    mask = np.zeros(posts.num_rows, dtype=bool)
    # In this order, a post that follows one of its own cluster is later than it.
    mask[order[1:]] = clusters[order[1:]] == clusters[order[:-1]]
    return mask


def _file_codes(sha256: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Integer code of each file, from 0 without gaps; a post without a hash has its own."""
    encoded = sha256.combine_chunks().dictionary_encode()
    codes = np.asarray(pc.fill_null(encoded.indices, -1)).astype(np.int64)
    unknown = codes < 0
    return np.where(unknown, len(encoded.dictionary) + np.cumsum(unknown) - 1, codes)


def _near_duplicates(videos: pa.Table, indexes: npt.NDArray[np.int64]) -> DuplicatePairs:
    """Find near-duplicates among videos that are at these indexes of all posts."""
    # Hashes of another length are of another version of this code.
    readable = pc.equal(pc.binary_length(videos["video_hash"]), VIDEO_HASH.itemsize)
    mask = np.asarray(pc.fill_null(pc.and_(readable, pc.is_valid(videos["seen_seconds"])), False))
    hashed, indexes = videos.filter(pa.array(mask)), indexes[mask]
    pairs = near_duplicates(_hashes(hashed["video_hash"]), hashed["seen_seconds"].to_numpy())
    first, second = indexes[pairs.first], indexes[pairs.second]
    return DuplicatePairs(np.minimum(first, second), np.maximum(first, second), pairs.similarity)


def _hashes(column: pa.ChunkedArray) -> Hashes:
    """Hashes of a column without nulls, all of the length of `VIDEO_HASH`, without a copy of each as an object."""
    array = column.cast(pa.large_binary()).combine_chunks()
    if not len(array):
        return np.zeros(0, VIDEO_HASH)
    _, offsets, values = array.buffers()
    start = int(np.frombuffer(offsets, np.int64)[array.offset])
    hashes: Hashes = np.frombuffer(values, VIDEO_HASH, len(array), start)
    return hashes
