"""Decoding of one file by a sampling plan, in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from viral.errors import MissingObjectError, TooLargeError, UnreadableError
from viral.media.audio_only import decode_audio_only, is_audio_only
from viral.media.container import open_container
from viral.media.decord_frames import NAME as DECORD
from viral.media.decord_frames import DecordRefusedError, decord_frames
from viral.media.facts import collect_facts, is_truncated
from viral.media.index import FrameIndex, Ints
from viral.media.limits import MediaLimits
from viral.media.media import ClipBatch, FrameBatch, Media, Track
from viral.media.plan import SamplingPlan, Shape, shapes_by_frame
from viral.media.probe import Probe, probe
from viral.media.pyav_frames import NAME as PYAV
from viral.media.pyav_frames import pyav_frames
from viral.media.requests import Clips, Frames, Request
from viral.media.resize import Image, resize
from viral.media.scaler import Scaler
from viral.media.trim import TrimmedTrack

FramesByIndex = dict[int, dict[Shape, Image]]
"""Decoded frames by number, each in the shapes that the plan needs."""


def decode(path: str, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """Answer all requests of a plan from one local file, decoding no more of it than they need.

    With a window in the plan, the result is that of a file which was cut to it: times count from its start, and it has
    only its own audio and packets. The size, the hash and the limits stay those of the whole file.

    Runs in this process: for untrusted files use `Sandbox`, which calls this in a child process.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    _check_bytes(path, limits)
    with open_container(path) as container:
        if is_audio_only(container, plan):
            return decode_audio_only(path, container, plan, limits)
        probed = probe(container, [request.rate for request in plan.audio_requests], limits, plan.window)
        trimmed = probed.trimmed
        samples = {request: frames + trimmed.first for request, frames in plan.sample(trimmed.index).items()}
        shapes = shapes_by_frame(samples)
        decoded, decoder = _decode_frames(path, shapes, probed)
    if shapes and not decoded:
        raise UnreadableError("none of the requested frames could be decoded")
    tracks: dict[Request, Track] = {}
    for request, frames in samples.items():
        track = _track(request, frames, decoded, trimmed)
        if track is not None:
            tracks[request] = track
    for audio_request in plan.audio_requests:
        if probed.audio:
            tracks[audio_request] = probed.audio[audio_request.rate]
    for packet_request in plan.packet_requests:
        tracks[packet_request] = trimmed.packets
    return Media(collect_facts(path, probed, decoder), tracks, _partial_reasons(probed, shapes, decoded))


def _check_bytes(path: str, limits: MediaLimits) -> None:
    if not Path(path).is_file():
        raise MissingObjectError(f"no file at {path}")
    size = Path(path).stat().st_size
    if size > limits.max_bytes:
        raise TooLargeError(f"the file has {size} bytes, more than media.max_bytes = {limits.max_bytes}")


def _decode_frames(
    path: str, shapes: Mapping[int, tuple[Shape, ...]], probed: Probe
) -> tuple[FramesByIndex, str | None]:
    """Decode the frames, and name the decoder."""
    if not shapes:
        return {}, None
    if _only_key_frames(shapes, probed.index):
        try:
            images = decord_frames(path, shapes, probed)
            return {
                number: {shape: resize(image, *shape) for shape in shapes[number]} for number, image in images
            }, DECORD
        except DecordRefusedError:
            pass
    scaler = Scaler(probed.geometry)
    frames = pyav_frames(probed.coded, shapes, probed.index)
    return {number: {shape: scaler.resize(frame, *shape) for shape in shapes[number]} for number, frame in frames}, PYAV


def _only_key_frames(frames: Iterable[int], index: FrameIndex) -> bool:
    """Whether all are key frames, which decord reads: it seeks them one by one.

    Decord decodes everything between a key frame and a selected one, where PyAV skips what no other frame refers to.
    As fractions of a full decode by ffmpeg, key frames alone cost 0.13 by decord and 0.06 by PyAV, both little; the
    full feature set costs 0.77 and 0.33. Colours differ by a shade, see `Scaler`. Measured by tests/bench/media.py.
    """
    return bool(np.isin(list(frames), index.key_frames).all())


def _track(
    request: Frames | Clips, frames: Ints, decoded: FramesByIndex, trimmed: TrimmedTrack
) -> FrameBatch | ClipBatch | None:
    shape = (request.size, request.fit)
    images = {number: by_shape[shape] for number, by_shape in decoded.items() if shape in by_shape}
    if not images or not frames.size:
        return None
    shown = _nearest(frames, np.array(sorted(images), np.int64))
    batch = ClipBatch if isinstance(request, Clips) else FrameBatch
    stacked = np.stack([images[int(number)] for number in shown.flat])
    times = trimmed.index.pts_seconds[shown - trimmed.first]
    return batch(stacked.reshape(*shown.shape, *stacked.shape[1:]), times)


def _nearest(frames: Ints, decoded: Ints) -> Ints:
    """Replace each frame that could not be decoded by the last decoded one before it, else by the first."""
    return decoded[np.clip(np.searchsorted(decoded, frames, side="right") - 1, 0, None)]


def _partial_reasons(probed: Probe, shapes: Mapping[int, tuple[Shape, ...]], decoded: FramesByIndex) -> tuple[str, ...]:
    reasons = []
    lost = bool(decoded) and max(shapes) > max(decoded)
    trimmed = probed.trimmed
    end = float(trimmed.index.pts_seconds[max(decoded) - trimmed.first]) if lost else probed.seen_seconds
    if is_truncated(probed.declared_seconds, probed.seen_seconds) or (lost and is_truncated(probed.seen_seconds, end)):
        reasons.append("truncated")
    if probed.audio is None:
        reasons.append("audio_failed")
    return tuple(reasons)
