"""Posts that repeat the video of an earlier post: copies in two parts of a split would leak."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc


def later_duplicates(posts: pa.Table) -> npt.NDArray[np.bool_]:
    """Return a mask of the posts with the same video file as an earlier post, (N,); False for posts without a hash.

    Args:
        posts: `post_id`, `posted_at` (null sorts last) and `sha256`.
    """
    order = np.asarray(pc.sort_indices(posts, [(name, "ascending") for name in ("sha256", "posted_at", "post_id")]))
    codes = posts["sha256"].combine_chunks().dictionary_encode().indices
    sorted_codes = np.asarray(pc.fill_null(codes, -1))[order]
    mask = np.zeros(posts.num_rows, dtype=bool)
    mask[order[1:]] = (sorted_codes[1:] == sorted_codes[:-1]) & (sorted_codes[1:] >= 0)
    return mask
