"""Examples and negatives of a target: frames of the images and clips in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from viral.config import Settings
from viral.errors import ConfigError, PostError
from viral.media.limits import MediaLimits
from viral.media.photo_set import PhotoSet
from viral.media.plan import SamplingPlan
from viral.media.requests import Frames
from viral.media.sandbox import Sandbox
from viral.monitor.detector.backbone import SHORT_SIDE
from viral.monitor.detector.decision import EVERY_SECONDS
from viral.monitor.detector.frame_names import source_video
from viral.storage.store import one_line

Images = npt.NDArray[np.uint8]

WATCH = Frames(size=(SHORT_SIDE, SHORT_SIDE), every=EVERY_SECONDS, fit="inside")
"""The frames that the watch looks at."""
_ONE = Frames(size=(SHORT_SIDE, SHORT_SIDE), count=1, fit="inside")
_CLIP_SECONDS = 1.0  # between frames of an example clip: nearer ones are almost the same
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
_CLIPS = {".mp4", ".mov", ".webm", ".mkv", ".m4v"}
_NEGATIVE_SECONDS = 20.0  # of each negative clip: more clips say more than longer ones
_MAX_EXAMPLES = 200  # frames; the curve by number of examples is flat long before


@dataclass(frozen=True)
class ExampleFrame:
    """A frame of an example, uint8 (H, W, 3), and the video that it is from (see `source_video`)."""

    image: Images
    video: str


@dataclass(frozen=True)
class NegativeFrames:
    """Frames (T, H, W, 3) without the target, the video that they are from, and whether it is one picture of it."""

    images: Images
    video: str
    still: bool = False


def files_in(folder: Path) -> list[Path]:
    """List the images and clips below a folder.

    Raises:
        ConfigError: there is no such folder, or it has none.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES | _CLIPS)
    if not files:
        raise ConfigError(f"{folder} holds no images or clips ({', '.join(sorted(PICTURES | _CLIPS))})")
    return files


def read_examples(folder: Path, settings: Settings) -> list[ExampleFrame]:
    """Read the frames that show the target: images as they are, clips at one frame per second.

    Raises:
        ConfigError: a file cannot be read, or there are too many frames.
    """
    clip = Frames(size=(SHORT_SIDE, SHORT_SIDE), every=_CLIP_SECONDS, fit="inside")
    frames: list[ExampleFrame] = []
    with Sandbox(_limits(settings)) as sandbox:
        for path in files_in(folder):
            frames += [ExampleFrame(image, source_video(path)) for image in _read(sandbox, path, clip)]
    if len(frames) > _MAX_EXAMPLES:
        raise ConfigError(f"{folder} holds {len(frames)} frames: {_MAX_EXAMPLES} are enough, remove the others")
    return frames


def read_negatives(folder: Path, settings: Settings) -> Iterator[NegativeFrames]:
    """Yield the frames of each file without the target, as the watch would read them.

    Raises:
        ConfigError: a file cannot be read.
    """
    request = Frames(size=WATCH.size, every=EVERY_SECONDS, stop=_NEGATIVE_SECONDS, fit="inside")
    with Sandbox(_limits(settings)) as sandbox:
        for path in files_in(folder):
            yield NegativeFrames(_read(sandbox, path, request), source_video(path), path.suffix.lower() in PICTURES)


def read_pictures(paths: Sequence[Path], settings: Settings) -> Iterator[Images]:
    """Yield pictures uint8 (H, W, 3) as a detector sees them. Raises ConfigError: a file cannot be read."""
    with Sandbox(_limits(settings)) as sandbox:
        for path in paths:
            yield _read(sandbox, path, _ONE)[0]


def _limits(settings: Settings) -> MediaLimits:
    return MediaLimits(**settings.media.model_dump(), **settings.sandbox.model_dump())


def _read(sandbox: Sandbox, path: Path, request: Frames) -> Images:
    picture = path.suffix.lower() in PICTURES
    source, wanted = (PhotoSet((str(path),)), _ONE) if picture else (str(path), request)
    try:
        batch = sandbox.decode(source, SamplingPlan.from_requests([wanted])).frames(wanted)
    except PostError as error:
        raise ConfigError(f"cannot read {path}: {one_line(error)}: remove or replace it") from error
    if batch is None or not len(batch.data):
        raise ConfigError(f"{path} holds no picture: remove or replace it")
    return batch.data


def augmented(image: Images, copies: int, rng: np.random.Generator) -> Sequence[Images]:
    """Changed copies of a frame: other sizes of what it shows, brightness, contrast, blur. Never mirrored: text."""
    from PIL import Image, ImageEnhance, ImageFilter

    changed = []
    for _ in range(copies):
        picture = Image.fromarray(image)
        width, height = picture.size
        share = rng.uniform(0.7, 1.0)  # of a smaller or larger picture of the same scene
        small = picture.resize((int(width * share), int(height * share)), Image.Resampling.BILINEAR)
        # The rest shows the scene again, as the border would otherwise tell copies from frames.
        picture.paste(small, (int(rng.uniform(0, width * (1 - share))), int(rng.uniform(0, height * (1 - share)))))
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.75, 1.25))
        picture = ImageEnhance.Contrast(picture).enhance(rng.uniform(0.75, 1.25))
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))
        changed.append(np.array(picture))
    return changed
