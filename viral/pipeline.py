"""From a post to its vectors: the one path that backfills, the endpoint and `viral score` share."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from viral.config import Settings
from viral.errors import ExtractorError, PostError, UnreadableError
from viral.extractors.encode import Encoded, encode
from viral.extractors.extractor import Context, Sample, Vector
from viral.extractors.feature_set import FeatureSet
from viral.media.limits import Limits
from viral.media.locate import local_video
from viral.media.media import Facts, Media
from viral.media.plan import Plan
from viral.media.sandbox import Sandbox
from viral.store import Store, one_line

GROUP = 8  # posts encoded together: nets gain little from more, and a group's media must fit in memory
AHEAD = 2  # files that the sandbox holds beyond the one waited for, so that decoding and encoding overlap


@dataclass(frozen=True)
class Job:
    """One post to be processed: where its video lies and what is known at the moment of posting."""

    post_id: str
    video_uri: str | None
    context: Context = field(default_factory=Context)


@dataclass(frozen=True)
class Outcome:
    """What became of one post: `status` is `ok`, `partial` or `failed`, and says `reason` unless it is `ok`."""

    post_id: str
    status: str
    reason: str | None = None
    detail: str | None = None
    facts: Facts = field(default_factory=Facts)
    vectors: Mapping[str, Vector | None] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Decoded:
    """A job on its way: exactly one of `future`, `media` and `error` is what matters next."""

    job: Job
    files: ExitStack = field(default_factory=ExitStack)
    future: Future[Media] | None = None
    media: Media | None = None
    error: PostError | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class Pipeline:
    """Decodes in a sandbox and extracts, in groups. Holds the extractors' weights and a child process: close it.

    Args:
        feature_set: what to extract.
        store: where keys below the root are read from.
        settings: limits of media and sandbox.
    """

    def __init__(self, feature_set: FeatureSet, store: Store, settings: Settings) -> None:
        media, box = settings.media, settings.sandbox
        self.feature_set, self.store = feature_set, store
        self.limits = Limits(
            max_bytes=media.max_bytes,
            max_seconds=media.max_seconds,
            max_pixels=media.max_pixels,
            seconds=box.seconds,
            memory_bytes=box.memory_bytes,
            recycle_after=box.recycle_after,
        )
        self.plan = Plan.of(feature_set.requests)
        self.extractors = feature_set.build()
        self.sandbox = Sandbox(self.limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox's processes."""
        self.sandbox.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """The outcome of each job, in their order."""
        group: list[_Decoded] = []
        for item in self._decoded(jobs):
            group.append(item)
            if len(group) == GROUP:
                yield from self._encoded(group)
                group = []
        yield from self._encoded(group)

    def one(self, video_uri: str | None, context: Context) -> Outcome:
        """The outcome of one draft; without a video, what its words alone give."""
        if video_uri is not None:
            (outcome,) = self.run([Job("draft", video_uri, context)])
            return outcome
        encoded = encode(self.extractors, [Sample(None, context)])
        return _outcome(_Decoded(Job("draft", None, context)), Media(Facts()), encoded, 0, 1)

    def known(self, job: Job, facts: Facts) -> Outcome:
        """The outcome of a job whose file was read before, by extractors that look at its facts alone."""
        encoded = encode(self.extractors, [Sample(Media(facts), job.context)])
        return _outcome(_Decoded(job), Media(facts), encoded, 0, 1)

    def _decoded(self, jobs: Iterable[Job]) -> Iterator[_Decoded]:
        waiting: deque[_Decoded] = deque()
        try:
            for job in jobs:
                waiting.append(self._start(job))
                if len(waiting) > AHEAD:
                    yield self._finish(waiting.popleft())
            while waiting:
                yield self._finish(waiting.popleft())
        finally:
            for item in waiting:
                item.files.close()

    def _start(self, job: Job) -> _Decoded:
        item, started = _Decoded(job), time.perf_counter()
        try:
            path = item.files.enter_context(local_video(self.store, job.video_uri, self.limits.max_bytes))
            item.future = self.sandbox.submit(str(path), self.plan)
        except PostError as error:
            item.error = error
        item.seconds["read"] = time.perf_counter() - started
        return item

    def _finish(self, item: _Decoded) -> _Decoded:
        started = time.perf_counter()
        with item.files:
            try:
                item.media = item.future.result() if item.future else None
            except PostError as error:
                item.error = error
        item.seconds["decode"] = time.perf_counter() - started
        return item

    def _encoded(self, group: list[_Decoded]) -> Iterator[Outcome]:
        samples = [Sample(item.media, item.job.context) for item in group if item.media]
        encoded = encode(self.extractors, samples)
        place = 0
        for item in group:
            if item.media is None:
                yield _failure(item)
            else:
                yield _outcome(item, item.media, encoded, place, len(samples))
                place += 1


def _outcome(item: _Decoded, media: Media, encoded: Encoded, place: int, count: int) -> Outcome:
    errors = encoded.errors[place]
    reasons = [*media.partial, *([ExtractorError.reason] if errors else [])]
    return Outcome(
        item.job.post_id,
        status="partial" if reasons else "ok",
        reason=reasons[0] if reasons else None,
        detail="; ".join(f"{name}: {said}" for name, said in errors.items()) or None,
        facts=media.facts,
        vectors=encoded.vectors[place],
        stage_seconds={**item.seconds, **{name: seconds / count for name, seconds in encoded.seconds.items()}},
    )


def _failure(item: _Decoded) -> Outcome:
    error = item.error or UnreadableError("nothing came of it")
    return Outcome(item.job.post_id, "failed", error.reason, one_line(error), stage_seconds=item.seconds)
