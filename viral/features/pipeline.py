"""From a post to its vectors: the one path that backfills, the endpoint and `viral score` share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Self

from viral.config import Settings
from viral.errors import ExtractorError
from viral.extractors.encode import Encoded, encode
from viral.extractors.extractor import Context, Sample, Vector
from viral.extractors.feature_set import FeatureSet
from viral.features.reader import Decoded, Job, Reader
from viral.media.media import Facts, Media
from viral.storage.store import Store
from viral.weights.resolve import local_file
from viral.weights.root import RootWeights

GROUP = 8  # posts encoded together: nets gain little from more, and a group's media must fit in memory


@dataclass(frozen=True)
class Outcome:
    """What became of one post: `status` is `ok`, `partial` or `failed`, and says `reason` unless it is `ok`.

    `notes` holds as JSON what extractors said in words, by their names.
    """

    post_id: str
    status: str
    reason: str | None = None
    detail: str | None = None
    facts: Facts = field(default_factory=Facts)
    vectors: Mapping[str, Vector | None] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)


class Encoder:
    """The second half of a post's way: holds the extractors' weights, and turns what was decoded into vectors.

    Args:
        feature_set: what to extract.
        device: where the networks run.
    """

    def __init__(self, feature_set: FeatureSet, *, device: str = "cpu") -> None:
        self.extractors = feature_set.build(device=device)

    def outcomes(self, group: Sequence[Decoded]) -> Iterator[Outcome]:
        """The outcome of each post, in their order."""
        samples = [_sample(post) for post in group if post.media]
        encoded, place = encode(self.extractors, samples), 0
        for post in group:
            if post.media is None:
                yield Outcome(post.job.post_id, "failed", post.reason, post.detail, stage_seconds=post.seconds)
            else:
                yield _outcome(post, post.media, encoded, place)
                place += 1

    def without_video(self, context: Context) -> Outcome:
        """The outcome of a draft's words alone."""
        return _outcome(
            Decoded(Job("draft", None)), Media(Facts()), encode(self.extractors, [Sample(None, context)]), 0
        )


class Pipeline:
    """Both halves in one process. Holds the extractors' weights and a child process: close it.

    Args:
        feature_set: what to extract.
        store: where keys below the root are read from, and weights.
        settings: limits of media and sandbox.
    """

    def __init__(self, feature_set: FeatureSet, store: Store, settings: Settings) -> None:
        self.encoder = Encoder(from_root(feature_set, store))
        self.reader = Reader(feature_set.requests, store, settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox's processes."""
        self.reader.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """The outcome of each job, in their order; the next files are decoded while a group is encoded."""
        decoded = self.reader.run(jobs)
        try:
            while group := list(islice(decoded, GROUP)):
                yield from self.encoder.outcomes(group)
        finally:
            decoded.close()

    def one(self, video_uri: str | None, context: Context) -> Outcome:
        """The outcome of one draft; without a video, what its words alone give."""
        if video_uri is None:
            return self.encoder.without_video(context)
        (outcome,) = self.run([Job("draft", video_uri, context)])
        return outcome


def _sample(post: Decoded) -> Sample:
    """A post that names no video was read nevertheless, as nothing: its words are all there is."""
    return Sample(None if post.job.video_uri is None else post.media, post.job.context)


def _outcome(post: Decoded, media: Media, encoded: Encoded, place: int) -> Outcome:
    errors = encoded.errors[place]
    reasons = [*media.partial, *([ExtractorError.reason] if errors else [])]
    shares = {name: seconds / len(encoded.vectors) for name, seconds in encoded.seconds.items()}
    return Outcome(
        post.job.post_id,
        status="partial" if reasons else "ok",
        reason=reasons[0] if reasons else None,
        detail="; ".join(f"{name}: {said}" for name, said in errors.items()) or None,
        facts=media.facts,
        vectors=encoded.vectors[place],
        notes=encoded.notes[place],
        stage_seconds={**post.seconds, **shares},
    )


def from_root(feature_set: FeatureSet, store: Store) -> FeatureSet:
    """The set with its weights from the root, unless it was told to resolve them otherwise."""
    return feature_set.with_resolve(RootWeights(store)) if feature_set.resolve is local_file else feature_set
