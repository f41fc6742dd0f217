"""What a row is: a video, a story, a photo set, or no post."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from viral.sources.parsed import RawBatch
from viral.sources.values import strip_nulls
from viral.tables.schemas import PHOTOS, POSTS, STORY, VIDEO

# Words of the known exporters for the kind of a post, in lower case.
_VIDEOS = ("video", "clips", "clip", "reel", "reels", "igtv", "short", "shorts", "graphvideo", "xdtgraphvideo")
_STORIES = ("story", "stories", "graphstoryvideo")
_PHOTO_SETS = (
    *("photos", "photo", "image", "images", "slideshow", "carousel", "sidecar"),
    *("graphimage", "graphsidecar", "graphstoryimage", "xdtgraphimage", "xdtgraphsidecar"),
    *("true", "1", "yes"),  # of a column that says whether a post is a photo set
)
_UNSTATED = ("false", "0", "no")  # of such a column: any other kind

_KINDS = dict.fromkeys(_VIDEOS, VIDEO) | dict.fromkeys(_STORIES, STORY) | dict.fromkeys(_PHOTO_SETS, PHOTOS)


def parse_kinds(batch: RawBatch, *, photos: bool) -> tuple[pa.Array, pa.Array, dict[int, str]]:
    """Return the kind of each row, its slides, and index → reason for the rows that are no posts.

    A row that names pictures is a photo set unless its kind says that it is a video, which has a picture for its cover.

    Args:
        batch: the rows.
        photos: whether photo sets with known slides are posts.
    """
    slides = [_uris(value) for value in batch.lists.get("slides", [None] * len(batch.rows))]
    words = strip_nulls(batch.kinds).to_pylist() if batch.kinds is not None else [None] * len(batch.rows)
    kinds: list[str | None] = []
    reasons: dict[int, str] = {}
    for i, word in enumerate(words):
        stated = (word or "").lower()
        # Without a word for the kind, pictures make a photo set.
        kinds.append(_KINDS.get(stated, PHOTOS if slides[i] and stated in ("", *_UNSTATED) else None))
        if kinds[i] == PHOTOS and not (photos and slides[i]):
            reasons[i] = _photo_set(batch, with_slides=bool(slides[i]), stated=bool(word))
        elif kinds[i] is None and stated not in ("", *_UNSTATED):
            reasons[i] = f"not a video: {word} ({batch.labels.get('kind', 'kind')})"
    errors = strip_nulls(batch.errors).to_pylist() if batch.errors is not None else []
    reasons |= {i: f"an error of the scraper, no post: {error}" for i, error in enumerate(errors) if error}
    # The pictures of a video are covers, no slides.
    kept = [uris if kind == PHOTOS else None for uris, kind in zip(slides, kinds, strict=True)]
    return pa.array(kinds, pa.string()), pa.array(kept, POSTS.field("slides").type), reasons


def _photo_set(batch: RawBatch, *, with_slides: bool, stated: bool) -> str:
    label = batch.labels.get("kind" if stated else "slides", "kind")
    if with_slides:
        return f"not a video: photo set ({label}); --photos keeps it"
    return f"not a video: photo set ({label}), and its pictures are unknown"


def _uris(value: Any) -> list[str] | None:
    """URIs of the pictures in a value: a list, or a text that is one URI or an array of JSON."""
    if isinstance(value, str):
        value = _array(value) if value.lstrip().startswith("[") else [value]
    uris = [item.strip() for item in value or () if isinstance(item, str)]
    # JSON may hold half a surrogate pair, which no table can store.
    return [uri.encode("utf-8", "replace").decode() for uri in uris if uri] or None


def _array(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return []
    return value if isinstance(value, list) else []
