"""Posts whose video another post has had before: learnt from and judged by, it would be on both sides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def later_copies(posts: pa.Table) -> npt.NDArray[np.bool_]:
    """Which posts have the file of an earlier one, bool (N,); those without a hash never have.

    Args:
        posts: `post_id`, `posted_at` (null is last) and `sha256`.
    """
    order = np.asarray(pc.sort_indices(posts, [(name, "ascending") for name in ("sha256", "posted_at", "post_id")]))
    codes = posts["sha256"].combine_chunks().dictionary_encode().indices
    sorted_codes = np.asarray(pc.fill_null(codes, -1))[order]
    again = np.zeros(posts.num_rows, dtype=bool)
    again[order[1:]] = (sorted_codes[1:] == sorted_codes[:-1]) & (sorted_codes[1:] >= 0)
    return again
