"""Decoding of one file by a sampling plan."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from viral.errors import PostError, TooLargeError, UnreadableError
from viral.media.audio_only import decode_audio_only, is_audio_only
from viral.media.clock import is_truncated
from viral.media.container import open_container
from viral.media.decord_frames import NAME as DECORD
from viral.media.decord_frames import DecordRefusedError, decord_frames
from viral.media.facts import collect_facts
from viral.media.limits import MediaLimits
from viral.media.media import Media
from viral.media.photo_set import PhotoSet, decode_photo_set
from viral.media.plan import SamplingPlan, Shape, shapes_by_frame
from viral.media.probe import Probe, probe
from viral.media.pyav_frames import NAME as PYAV
from viral.media.pyav_frames import pyav_frames
from viral.media.resize import resize
from viral.media.scaler import Scaler
from viral.media.tracks import FramesByIndex, frame_tracks, nearest_frames

if TYPE_CHECKING:
    from av.container import InputContainer

# A frame that cannot be decoded is replaced by another one; farther away than this, it shows something else.
DAMAGED_SECONDS = 0.5


def decode(source: str | PhotoSet, plan: SamplingPlan, limits: MediaLimits) -> Media:
    """Answer all requests of a plan from one local file or photo set, decoding as little of it as possible.

    If the plan has a window, the result is that of a file cut to the window: times count from its start, and audio and
    packets outside it are left out. Size, hash and limits still refer to the whole file.

    This runs in the current process. For untrusted files use `Sandbox`, which runs it in a child process.

    Raises:
        PostError: the file cannot be used; the class says why.
    """
    if isinstance(source, PhotoSet):
        return decode_photo_set(source, plan, limits)
    path = source
    # Before the file is opened; a missing file is reported by `open_container`.
    if Path(path).is_file() and (size := Path(path).stat().st_size) > limits.max_bytes:
        raise TooLargeError(f"the file has {size} bytes, more than media.max_bytes = {limits.max_bytes}")
    with ExitStack() as stack:
        container = stack.enter_context(open_container(path))
        if is_audio_only(container, plan):
            return decode_audio_only(path, container, plan, limits)
        probed = _probe_to_the_end(path, container, plan, limits, stack)
        trimmed = probed.trimmed
        # The plan counts frames from the start of the window, the decoder from the start of the file.
        samples = {request: frames + trimmed.first for request, frames in plan.sample(trimmed.index).items()}
        shapes = shapes_by_frame(samples)
        # Within the block, since the packets in memory are valid only while the file is open.
        decoded, decoder, corrupt = _decode_frames(path, shapes, probed)
    # Some missing frames are replaced, but nothing can stand in for all of them.
    if shapes and not decoded:
        raise UnreadableError("none of the requested frames could be decoded")
    tracks = frame_tracks(samples, decoded, trimmed)
    if probed.audio:
        tracks |= {request: probed.audio[request.rate] for request in plan.audio_requests}
    tracks |= dict.fromkeys(plan.packet_requests, trimmed.packets)
    return Media(
        collect_facts(path, probed, decoder), tracks, _partial_reasons(probed, shapes, decoded, corrupt=corrupt)
    )


def _probe_to_the_end(
    path: str, container: InputContainer, plan: SamplingPlan, limits: MediaLimits, stack: ExitStack
) -> Probe:
    """Probe a file; if it is cut, probe it without seeking, too, and return what reaches farther."""
    rates = [request.rate for request in plan.audio_requests]
    probed = probe(container, rates, limits, plan.window)
    # Only MP4 files have the fragments that ffmpeg reads to the end if it may not seek.
    if not probed.truncated or not probed.container.startswith("mov,mp4"):
        return probed
    with suppress(PostError):
        again = stack.enter_context(open_container(path, seekable=False))
        other = probe(again, rates, limits, plan.window, seekable=False)
        return other if other.seen_seconds > probed.seen_seconds else probed
    return probed


def _decode_frames(
    path: str, shapes: Mapping[int, tuple[Shape, ...]], probed: Probe
) -> tuple[FramesByIndex, str | None, bool]:
    """Return the decoded frames in their shapes, the name of the decoder, and whether it had to guess at pictures."""
    if not shapes:
        return {}, None, False
    # Decord is used for key frames only: to reach other frames, it decodes all frames since the last key frame,
    # whereas PyAV skips those that no frame refers to. Relative to a full decode by ffmpeg, key frames cost 0.13 with
    # decord and 0.06 with PyAV, and the full feature set 0.77 and 0.33 (tests/bench/media.py).
    if np.isin(list(shapes), probed.index.key_frames).all():
        with suppress(DecordRefusedError):
            images = decord_frames(path, shapes, probed)
            return {n: {shape: resize(image, *shape) for shape in shapes[n]} for n, image in images}, DECORD, False
    scaler = Scaler(probed.geometry, probed.colour)
    decoded: FramesByIndex = {}
    corrupt = False
    for number, frame in pyav_frames(probed.coded, shapes, probed.index):
        decoded[number] = {shape: scaler.resize(frame, *shape) for shape in shapes[number]}
        corrupt |= frame.is_corrupt
    return decoded, PYAV, corrupt


def _partial_reasons(
    probed: Probe, shapes: Mapping[int, tuple[Shape, ...]], decoded: FramesByIndex, *, corrupt: bool
) -> tuple[str, ...]:
    truncated, damaged = probed.truncated, probed.damaged or corrupt
    if missing := sorted(set(shapes) - set(decoded)):
        times, first = probed.trimmed.index.pts_seconds, probed.trimmed.first
        # `frame_tracks` replaces a missing frame in the same way: the distance in time says whether that matters.
        stand_ins = nearest_frames(np.array(missing, np.int64), np.array(sorted(decoded), np.int64))
        for number, stand_in in zip(missing, stand_ins, strict=True):
            if number > max(decoded):  # the last selected frames could not be decoded
                truncated |= is_truncated(probed.seen_seconds, float(times[stand_in - first]))
            else:
                damaged |= bool(abs(times[number - first] - times[stand_in - first]) > DAMAGED_SECONDS)
    reasons = {
        "truncated": truncated,
        "damaged": damaged,
        "audio_failed": probed.audio is None,
        "audio_missing": probed.audio_missing,
        "hdr": probed.colour.unknown,
    }
    return tuple(reason for reason, applies in reasons.items() if applies)
