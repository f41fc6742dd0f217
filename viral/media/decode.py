"""One decode pass: a file and a plan in, `Media` out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from viral.errors import MissingObjectError, TooLargeError, UnreadableError
from viral.media.audio_only import heard, is_only_heard
from viral.media.container import opened
from viral.media.decord_frames import NAME as DECORD
from viral.media.decord_frames import DecordRefusedError, decord_frames
from viral.media.facts import facts, truncated
from viral.media.index import Ints, PictureIndex
from viral.media.limits import Limits
from viral.media.media import ClipBatch, FrameBatch, Media, Track
from viral.media.plan import Plan, Shape, shapes_by_frame
from viral.media.probe import Survey, survey
from viral.media.pyav_frames import NAME as PYAV
from viral.media.pyav_frames import pyav_frames
from viral.media.requests import Clips, Frames, Request
from viral.media.resize import Image, resize
from viral.media.scaler import Scaler
from viral.media.trim import View

Bank = dict[int, dict[Shape, Image]]
"""The decoded frames by number, each in the shapes that it is wanted in."""


def decode(path: str, plan: Plan, limits: Limits) -> Media:
    """Answers all requests of the plan from one local file, decoding no more of it than they need.

    With a window in the plan the answer is that of a file which was cut to it: times count from its start, and its
    sound and its packets are all there are. Only the file's size, hash and limits stay those of the whole.

    Runs in this process: for files of strangers use `Sandbox`, which calls this in a child.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    _check_bytes(path, limits)
    with opened(path) as container:
        if is_only_heard(container, plan):
            return heard(path, container, plan, limits)
        known = survey(container, [request.rate for request in plan.sounds], limits, plan.window)
        numbers = {request: frames + known.view.first for request, frames in plan.numbers(known.view.index).items()}
        shapes = shapes_by_frame(numbers)
        bank, decoder = _decoded(path, shapes, known)
    if shapes and not bank:
        raise UnreadableError("none of the wanted frames could be decoded")
    tracks: dict[Request, Track] = {}
    for request, frames in numbers.items():
        track = _track(request, frames, bank, known.view)
        if track is not None:
            tracks[request] = track
    for sound in plan.sounds:
        if known.sounds:
            tracks[sound] = known.sounds[sound.rate]
    for coded in plan.packets:
        tracks[coded] = known.view.packets
    return Media(facts(path, known, decoder), tracks, _partial(known, shapes, bank))


def _check_bytes(path: str, limits: Limits) -> None:
    if not Path(path).is_file():
        raise MissingObjectError(f"no file at {path}")
    size = Path(path).stat().st_size
    if size > limits.max_bytes:
        raise TooLargeError(f"the file has {size} bytes, more than media.max_bytes = {limits.max_bytes}")


def _decoded(path: str, shapes: Mapping[int, tuple[Shape, ...]], known: Survey) -> tuple[Bank, str | None]:
    if not shapes:
        return {}, None
    if _on_keys(shapes, known.index):
        try:
            images = decord_frames(path, shapes, known)
            return {
                number: {shape: resize(image, *shape) for shape in shapes[number]} for number, image in images
            }, DECORD
        except DecordRefusedError:
            pass
    scaler = Scaler(known.look)
    frames = pyav_frames(known.coded, shapes, known.index)
    return {number: {shape: scaler.direct(frame, *shape) for shape in shapes[number]} for number, frame in frames}, PYAV


def _on_keys(wanted: Iterable[int], index: PictureIndex) -> bool:
    """Whether decord is the one to read them: key frames alone, which it seeks one by one.

    It decodes all that lies between a key frame and a wanted one, where PyAV leaves out what no other frame refers to.
    In parts of a full decode by ffmpeg: key frames alone cost 0.13 by decord and 0.06 by PyAV, which both are little;
    the full feature set costs 0.77 and 0.33. Frames differ by a shade, see `Scaler`. See tests/bench/media.py.
    """
    return bool(np.isin(list(wanted), index.keys).all())


def _track(request: Frames | Clips, frames: Ints, bank: Bank, view: View) -> FrameBatch | ClipBatch | None:
    shape = (request.size, request.fit)
    images = {number: shaped[shape] for number, shaped in bank.items() if shape in shaped}
    if not images or not frames.size:
        return None
    shown = _nearest(frames, np.array(sorted(images), np.int64))
    batch = ClipBatch if isinstance(request, Clips) else FrameBatch
    stacked = np.stack([images[int(number)] for number in shown.flat])
    return batch(stacked.reshape(*shown.shape, *stacked.shape[1:]), view.index.pts_seconds[shown - view.first])


def _nearest(frames: Ints, decoded: Ints) -> Ints:
    """The frames, with an earlier (else the first) decoded one in place of any that could not be decoded."""
    return decoded[np.clip(np.searchsorted(decoded, frames, side="right") - 1, 0, None)]


def _partial(known: Survey, shapes: Mapping[int, tuple[Shape, ...]], bank: Bank) -> tuple[str, ...]:
    reasons = []
    lost = bool(bank) and max(shapes) > max(bank)
    end = float(known.view.index.pts_seconds[max(bank) - known.view.first]) if lost else known.seen_seconds
    if truncated(known.declared_seconds, known.seen_seconds) or (lost and truncated(known.seen_seconds, end)):
        reasons.append("truncated")
    if known.sounds is None:
        reasons.append("audio_failed")
    return tuple(reasons)
