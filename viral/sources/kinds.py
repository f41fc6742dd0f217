"""What a row is: a video, or something that is not one."""

from __future__ import annotations

from viral.sources.parsed import RawBatch
from viral.sources.values import strip_nulls

_VIDEOS = ("video", "clips", "clip", "reel", "reels", "igtv", "short", "shorts", "story", "graphvideo", "xdtgraphvideo")
_NO_PHOTOS = ("false", "0", "no")  # of a column that says whether a post is a photo set
_PHOTOS = ("true", "1", "yes")
_PHOTO_SET = "photo set"


def reject_other_kinds(batch: RawBatch) -> dict[int, str]:
    """Return index → reason for the rows that are no videos: errors of the scraper, photo sets, playlists."""
    slides = batch.lists.get("slides", [])
    reasons = {i: f"not a video: {_PHOTO_SET}" for i, pictures in enumerate(slides) if pictures}
    kinds = strip_nulls(batch.kinds).to_pylist() if batch.kinds is not None else []
    for i, kind in enumerate(kinds):
        if kind and kind.lower() not in _VIDEOS + _NO_PHOTOS:
            name = _PHOTO_SET if kind.lower() in _PHOTOS else kind
            reasons[i] = f"not a video: {name} ({batch.labels.get('kind', 'kind')})"
    errors = strip_nulls(batch.errors).to_pylist() if batch.errors is not None else []
    return reasons | {i: f"an error of the scraper, no post: {error}" for i, error in enumerate(errors) if error}
