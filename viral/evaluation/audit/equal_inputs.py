"""Check that no test post has the inputs of a post that was learnt from: the same post under another identifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from viral.evaluation.audit.evidence import Evidence
from viral.evaluation.audit.finding import Finding
from viral.evaluation.splits import author_codes, value_codes

Bools = npt.NDArray[np.bool_]

INPUTS = "shared_inputs"
ALL = "all inputs"
COMMON_AUTHORS = 3  # authors of learnt posts with one vector: then it is a common one, as that of the caption "#fyp"
CHANCE = (
    0.03  # of the test posts: of 10,102 real captions, 1.3 % are those of one or two other authors, nearly all short
)
_FEW = 4  # posts with an equal text, which may be chance however small the test split is
_PICTURES = ("image", "video")  # modalities whose vectors do not agree by chance
_FIX = "leave the later post of each pair out of the posts, label again and train on that"


@dataclass(frozen=True)
class SharedVectors:
    """Test posts with the vector of a learnt post.

    Attributes:
        stream: name of the input, or `ALL`.
        posts: ids of the test posts.
        certain: whether chance is excluded: all of several inputs agree, or pictures, or more posts than `CHANCE`.
    """

    stream: str
    posts: tuple[str, ...]
    certain: bool


def shared_inputs(evidence: Evidence) -> list[Finding]:
    """No test post has the vectors of a training or validation post; common ones, as of short captions, are none."""
    detail = "a test post has the same {} as one that was learnt from: it is the same post again"
    return [
        Finding.truncated(INPUTS, [shared.stream], shared.posts, detail.format(_named(shared.stream)), _FIX)
        for shared in shared_vectors(evidence)
        if shared.certain
    ]


def notes(evidence: Evidence) -> list[str]:
    """Describe equal vectors that may be chance."""
    return [
        f"{len(shared.posts)} test post{'s' if len(shared.posts) > 1 else ''} with the same {_named(shared.stream)} as "
        f"one that was learnt from ({', '.join(shared.posts[:3])}): chance, if short texts"
        for shared in shared_vectors(evidence)
        if not shared.certain
    ]


def shared_vectors(evidence: Evidence) -> Iterator[SharedVectors]:
    """Yield what test posts share with learnt ones, by input; nothing if the vectors are not known."""
    hashes, rows = evidence.vector_hashes, evidence.rows
    if hashes is None or not rows.num_rows:
        return
    tested = np.asarray(pc.equal(rows["split"], "test"), dtype=bool)
    several = len(evidence.streams) > 1
    modalities = {stream.name: stream.modality for stream in evidence.streams}
    # All inputs together first: a post that is the same in all is not named again for each.
    named: Bools = np.zeros(rows.num_rows, bool)
    for stream in ([ALL] if several else []) + [stream.name for stream in evidence.streams]:
        values = _together(hashes) if stream == ALL else hashes[stream]
        mask = _shared(values, author_codes(rows), tested) & ~named
        named |= mask
        if mask.any():
            certain = _certain(stream if stream == ALL else modalities[stream], int(mask.sum()), int(tested.sum()))
            yield SharedVectors(stream, tuple(rows["post_id"].filter(pa.array(mask)).to_pylist()), bool(certain))


def _certain(modality: str, posts: int, tested: int) -> bool:
    """Whether so many equal vectors of a modality, or of `ALL`, exclude chance."""
    if modality == "metadata":  # a day, an hour and a length: posts by different authors may well have the same
        return False
    few = _FEW if modality == "text" else 0
    return modality in (ALL, *_PICTURES) or posts > max(CHANCE * tested, few)


def _shared(values: pa.ChunkedArray, authors: npt.NDArray[np.int64], tested: Bools) -> Bools:
    """Mask of the test posts with a vector that learnt posts of one or two authors have."""
    known = np.asarray(values.is_valid(), dtype=bool)
    codes = value_codes(pa.table({"hash": values}), "hash")
    learnt = known & ~tested
    # Each author counts once per vector.
    pairs = np.unique(np.stack([codes[learnt], authors[learnt]]), axis=1)
    owners = np.bincount(pairs[0], minlength=int(codes.max(initial=-1)) + 1)
    return np.asarray(tested & known & (owners[codes] > 0) & (owners[codes] < COMMON_AUTHORS))


def _together(hashes: pa.Table) -> pa.ChunkedArray:
    """One text per post of all its vectors; null for a post with fewer than two, which says no more than that one."""
    columns = [hashes[name] for name in hashes.column_names]
    present = sum(np.asarray(column.is_valid(), dtype=np.int64) for column in columns)
    texts = [pc.fill_null(column.cast(pa.string()), "-") for column in columns]
    joined = pc.binary_join_element_wise(*texts, " ")
    return pa.chunked_array([pc.if_else(pa.array(present > 1), pa.chunked_array(joined).combine_chunks(), None)])


def _named(stream: str) -> str:
    return ALL if stream == ALL else f"input {stream}"
