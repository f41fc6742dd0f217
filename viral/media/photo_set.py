"""Decoding of a photo set: as a video whose frames are the slides, with equal stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from viral.errors import OutOfMemoryError, PostError, TooLargeError, TooLongError
from viral.media.audio_only import DecodedSound, decode_sound
from viral.media.container import open_container
from viral.media.facts import size_and_sha256
from viral.media.index import FrameIndex
from viral.media.limits import MediaLimits
from viral.media.media import Facts, Media, Track
from viral.media.pictures import PictureHeader, read_header, read_picture
from viral.media.plan import SamplingPlan, shapes_by_frame
from viral.media.requests import Request
from viral.media.resize import Image, Size, resize
from viral.media.tracks import frame_tracks
from viral.media.trim import trim_audio, trim_frames

# Stay of a slide without a sound. TikTok publishes none; tools that render its photo sets as videos show each for 3 s.
SECONDS_PER_SLIDE = 3.0


@dataclass(frozen=True)
class PhotoSet:
    """Local files of a photo set.

    Attributes:
        slides: paths of the pictures in order, None for a missing one.
        sound: path of the sound, if there is one.
        sound_missing: the post has a sound, which is not there.
        notes: what is missing, in words.
    """

    slides: tuple[str | None, ...]
    sound: str | None = None
    sound_missing: bool = False
    notes: tuple[str, ...] = ()


def decode_photo_set(photo_set: PhotoSet, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """Answer all requests of a plan from a photo set.

    It lasts as long as its sound, or else `SECONDS_PER_SLIDE` per slide. Frames have the size of the first slide, the
    cover; others are scaled to fit and centred on black, as TikTok shows them: nothing is cut off. Where a slide is
    missing or damaged, the one before it stays.

    Raises:
        PostError: no slide can be used, or a limit is exceeded.
    """
    files = [path for path in (*photo_set.slides, photo_set.sound) if path]
    if (size := sum(Path(path).stat().st_size for path in files)) > limits.max_bytes:
        raise TooLargeError(
            f"the pictures and the sound have {size} bytes, more than {limits.max_bytes} (media.max_bytes)"
        )
    # The sound before the frames: its length is that of the video.
    slides, sound = _Slides(photo_set, limits), _Sound(photo_set, plan, limits)
    seconds = sound.seconds or SECONDS_PER_SLIDE * len(photo_set.slides)
    if seconds > limits.max_seconds:
        raise TooLongError(f"the photo set lasts {seconds:g} s, more than media.max_seconds = {limits.max_seconds:g}")
    trimmed = trim_frames(_index(photo_set, seconds), plan.window, seconds)
    samples = {request: frames + trimmed.first for request, frames in plan.sample(trimmed.index).items()}
    # Each frame is made once, whatever the number of requests for it; only one at a time is held at full size.
    decoded = {
        number: {shape: resize(frame, *shape) for shape in shapes}
        for number, shapes in shapes_by_frame(samples).items()
        for frame in (slides.frame(number),)
    }
    tracks = frame_tracks(samples, decoded, trimmed)
    tracks |= sound.tracks(plan)
    tracks |= dict.fromkeys(plan.packet_requests, trimmed.packets)
    seen = plan.window.length(seconds) if plan.window else seconds
    # After the frames: some damage is noticed only when a slide is decoded.
    reasons = (*(["damaged"] if slides.notes or None in photo_set.slides else []), *sound.reasons)
    facts = _facts(photo_set, slides, sound.codec, seen)
    return Media(facts, tracks, reasons, (*photo_set.notes, *slides.notes, *sound.notes))


class _Slides:
    """The pictures of a photo set as frames of one size."""

    def __init__(self, photo_set: PhotoSet, limits: MediaLimits) -> None:
        self._paths, self._max_pixels = photo_set.slides, limits.max_pixels
        self._errors: dict[int, PostError] = {}
        self._animated: set[int] = set()
        # Headers first: they give the size of the frames, and refuse a huge picture before any is decoded.
        headers = [header for i in range(len(self._paths)) if (header := self._header(i))]
        if not headers:
            raise self._failure()
        self.first = headers[0]
        self._size: Size = (self.first.height, self.first.width)

    @property
    def notes(self) -> list[str]:
        """What is wrong with the pictures."""
        problems = {i: str(error) for i, error in self._errors.items()}
        problems |= dict.fromkeys(self._animated - problems.keys(), "the picture moves: only its first frame is used")
        return [f"slide {i + 1}: {problems[i]}" for i in sorted(problems)]

    def frame(self, number: int) -> Image:
        """Return a slide, or the next best one; RGB (H, W, 3)."""
        # The slide before stays on screen; before the first usable slide, that slide is shown.
        for i in (*range(number, -1, -1), *range(number + 1, len(self._paths))):
            if (picture := self._picture(i)) is not None:
                return _fit(picture, self._size)
        raise self._failure()

    def _header(self, i: int) -> PictureHeader | None:
        path = self._paths[i]
        if path is None:
            return None
        try:
            header = read_header(path, self._max_pixels)
        except PostError as error:
            self._errors[i] = error
            return None
        if header.animated:
            self._animated.add(i)
        return header

    def _picture(self, i: int) -> Image | None:
        path = self._paths[i]
        if path is None or i in self._errors:
            return None
        try:
            return read_picture(path, self._max_pixels)
        except PostError as error:
            self._errors[i] = error
            return None

    def _failure(self) -> PostError:
        # The first fault in order is the one that the row names.
        i, error = min(self._errors.items(), key=lambda item: item[0])
        return type(error)(f"slide {i + 1}: {error}")


class _Sound:
    """The sound of a photo set: what could be read of it, and what is wrong with it."""

    def __init__(self, photo_set: PhotoSet, plan: SamplingPlan, limits: MediaLimits) -> None:
        self._sound: DecodedSound | None = None
        self.notes: list[str] = []
        self.reasons = ["audio_missing"] if photo_set.sound_missing else []
        if photo_set.sound:
            self._read(photo_set.sound, plan, limits)

    def _read(self, path: str, plan: SamplingPlan, limits: MediaLimits) -> None:
        try:
            with open_container(path) as container:
                self._sound = decode_sound(container, [request.rate for request in plan.audio_requests], limits)
        # These limits hold for the whole post; any other fault of the sound leaves the slides usable.
        except (TooLongError, OutOfMemoryError):
            raise
        except PostError as error:
            self.notes.append(f"sound: {error}")
        if self._sound is None or self._sound.audio is None:
            self.reasons.append("audio_failed")
        elif self._sound.truncated:
            self.reasons.append("truncated")

    @property
    def seconds(self) -> float:
        """Length of the sound; 0 without one."""
        return self._sound.seconds if self._sound else 0.0

    @property
    def codec(self) -> str | None:
        """Codec of the sound."""
        return self._sound.codec if self._sound else None

    def tracks(self, plan: SamplingPlan) -> dict[Request, Track]:
        """Answer the audio requests of a plan."""
        audio = trim_audio(self._sound.audio, plan.window) if self._sound and self._sound.audio else {}
        return {request: audio[request.rate] for request in plan.audio_requests if request.rate in audio}


def _index(photo_set: PhotoSet, seconds: float) -> FrameIndex:
    """Index of the slides: all are key frames, as each can be shown without another."""
    count = len(photo_set.slides)
    numbers = np.arange(count, dtype=np.int64)
    sizes = np.array([Path(path).stat().st_size if path else 0 for path in photo_set.slides], np.int64)
    return FrameIndex(
        pts_seconds=(numbers * (seconds / count)).astype(np.float64),
        sizes=sizes,
        key=np.ones(count, np.bool_),
        positions=numbers,
        pts=numbers,
        end=seconds,
        exact=True,
    )


def _fit(picture: Image, size: Size) -> Image:
    """Scale a picture to fit into a frame of `size` (h, w), and centre it on black."""
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    # The smaller scale fits both sides; rounding must not exceed the frame, nor leave a side without a pixel.
    scale = min(size[0] / height, size[1] / width)
    inner = (min(size[0], max(1, round(height * scale))), min(size[1], max(1, round(width * scale))))
    frame = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    frame[top : top + inner[0], left : left + inner[1]] = resize(picture, inner, "stretch")
    return frame


def _facts(photo_set: PhotoSet, slides: _Slides, audio_codec: str | None, seconds: float) -> Facts:
    size, sha256 = _size_and_hash(photo_set)
    return Facts(
        container="photos",
        video_codec=slides.first.format,
        audio_codec=audio_codec,
        width=slides.first.width,
        height=slides.first.height,
        seen_seconds=seconds,
        decoder="pillow",
        bytes=size,
        sha256=sha256,
        slides=len(photo_set.slides),
    )


def _size_and_hash(photo_set: PhotoSet) -> tuple[int, str]:
    """Total size of the files, and a hash of their hashes in order."""
    parts = list(_sizes_and_hashes(photo_set))
    # In order, with the missing ones: the same pictures in another order are another post.
    return sum(size for size, _ in parts), hashlib.sha256("\n".join(sha for _, sha in parts).encode()).hexdigest()


def _sizes_and_hashes(photo_set: PhotoSet) -> Iterator[tuple[int, str]]:
    for path in (*photo_set.slides, photo_set.sound):
        yield size_and_sha256(path) if path else (0, "")
