"""States of a post during extraction: requested, decoded, extracted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from viral.extractors.extractor import Context, Vector
from viral.media.media import Facts, Media
from viral.media.requests import Request
from viral.media.window import ClipWindow


@dataclass(frozen=True)
class ExtractionRequest:
    """A post to extract features from: the URIs of its files, and its context at the moment of posting.

    Attributes:
        requests: what to read from the file; None: the requests of the `MediaReader`.
        window: read the file as if it had been cut to this window.
        attempt: number of this attempt at the post, from 0.
        has_sound: whether the scrape says that the video has sound; None if it says nothing.
        slides: URIs of the pictures of a photo set, which are then read in place of a video; None: no photo set.
        sound_uri: URI of the sound of a photo set.
    """

    post_id: str
    video_uri: str | None
    context: Context = field(default_factory=Context)
    requests: tuple[Request, ...] | None = None
    window: ClipWindow | None = None
    attempt: int = 0
    has_sound: bool | None = None
    slides: tuple[str, ...] | None = None
    sound_uri: str | None = None

    @property
    def has_files(self) -> bool:
        """Whether the post names a video or is a photo set; otherwise it is text only."""
        return self.video_uri is not None or self.slides is not None


@dataclass(frozen=True)
class ExtractionResult:
    """Features of one post. `status` is `ok`, `partial` or `failed`; `partial` and `failed` come with a `reason`.

    Attributes:
        vectors: by extractor; None if the post lacks its modality.
        notes: by extractor, as JSON.
        stage_seconds: wall time of reading, decoding and each extractor.
    """

    post_id: str
    status: str
    reason: str | None = None
    detail: str | None = None
    facts: Facts = field(default_factory=Facts)
    vectors: Mapping[str, Vector | None] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    attempt: int = 0


@dataclass(frozen=True)
class DecodedPost:
    """A request with the media of its file, or with the `reason` and `detail` of its failure. It can be pickled.

    Attributes:
        stage_seconds: wall time of reading and decoding.
        extractors: names of the extractors to run; None: all.
        reused: features of the post copied from another table.
        node: where it was decoded, if somebody asks.
    """

    request: ExtractionRequest
    media: Media | None = None
    reason: str | None = None
    detail: str | None = None
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    extractors: tuple[str, ...] | None = None
    reused: ExtractionResult | None = None
    node: str | None = None

    @property
    def audio_missing(self) -> bool:
        """Whether the file lacks the sound that the scrape says it has."""
        facts = self.media.facts if self.media and not self.request.window else Facts()
        return bool(self.request.has_sound) and facts.video_codec is not None and facts.audio_codec is None
