"""Variants of a draft (another context, a cut, a hidden part), scored by the same path as any post."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from viral.errors import ConfigError, UsageError
from viral.explain.hiding import hide
from viral.extractors.extractor import Context
from viral.features.pipeline import ENCODE_BATCH_SIZE, Pipeline
from viral.features.posts import DecodedPost, ExtractionRequest, ExtractionResult
from viral.media.media import Facts, Media
from viral.media.window import ClipWindow
from viral.scoring.scorer import Score, Scorer


@dataclass(frozen=True)
class Draft:
    """A post that is not published yet: a video, a photo set or text alone.

    Attributes:
        video: path or URI of the video; None for the other two.
        author_id: as in the posts table; no model sees it.
        slides: paths or URIs of the pictures of a photo set, in order.
        sound_uri: path or URI of its sound.
    """

    video: str | None
    context: Context = field(default_factory=Context)
    author_id: str | None = None
    slides: tuple[str, ...] | None = None
    sound_uri: str | None = None

    def files(self, window: ClipWindow | None = None) -> ExtractionRequest:
        """Return a request for its files, cut to a window, without its context."""
        return ExtractionRequest("draft", self.video, window=window, slides=self.slides, sound_uri=self.sound_uri)


@dataclass(frozen=True)
class Variant:
    """A draft cut to `window`, or without the part `hidden`; times count from the start of the window.

    Raises:
        ConfigError: the draft has nothing to cut.
    """

    draft: Draft
    window: ClipWindow | None = None
    hidden: ClipWindow | None = None

    def __post_init__(self) -> None:
        if not self.draft.files().has_files and (self.window or self.hidden):
            raise ConfigError("a draft of text alone cannot be cut")


ScoreFunction = Callable[[Sequence[Variant]], Sequence[Score]]
"""Scores variants, in their order."""


class Rescorer:
    """Scores variants. Decodes each cut of a file once per call, and keeps the last whole file decoded.

    Args:
        pipeline: extracts features, of the scorer's feature set.
        scorer: the model.
    """

    def __init__(self, pipeline: Pipeline, scorer: Scorer) -> None:
        self._pipeline, self.scorer = pipeline, scorer
        self._whole: dict[ExtractionRequest, DecodedPost] = {}

    def __call__(self, variants: Sequence[Variant]) -> list[Score]:
        """Score variants, in their order. Raises as `extract_and_score` does."""
        return [score for _, score in self.extract_and_score(variants)]

    def extract_and_score(self, variants: Sequence[Variant]) -> list[tuple[ExtractionResult, Score]]:
        """Return the features and the score of each variant, in their order.

        Raises:
            UsageError: a video cannot be used, or a variant has none of the model's inputs.
        """
        results = self.extract(variants)
        return list(zip(results, self.scorer.score([result.vectors for result in results]), strict=True))

    def extract(self, variants: Sequence[Variant]) -> list[ExtractionResult]:
        """Extract the features of each variant, in their order. Raises UsageError: a video cannot be used."""
        by_cut: dict[ExtractionRequest, list[int]] = {}
        for index, variant in enumerate(variants):
            # Variants of the same cut share one decode, and differ only in what is done to the decoded frames and the
            # context.
            by_cut.setdefault(variant.draft.files(variant.window), []).append(index)
        results: dict[int, ExtractionResult] = {}
        for indices, post in zip(by_cut.values(), self._decode(by_cut), strict=True):
            # As in the pipeline: the hidden frames of a whole video need memory.
            for start in range(0, len(indices), ENCODE_BATCH_SIZE):
                group = indices[start : start + ENCODE_BATCH_SIZE]
                posts = [_apply(variants[index], post) for index in group]
                results.update(zip(group, self._pipeline.encoder.encode(posts), strict=True))
        return [results[index] for index in range(len(variants))]

    def _decode(self, cuts: Iterable[ExtractionRequest]) -> Iterator[DecodedPost]:
        cuts, cached = list(cuts), self._whole
        decoded = self._pipeline.reader.read(cut for cut in cuts if cut.has_files and cut not in cached)
        for cut in cuts:
            if not cut.has_files:
                yield DecodedPost(cut, Media(Facts()))
                continue
            post = cached[cut] if cut in cached else next(decoded)
            if post.media is None:
                raise UsageError(f"{cut.video_uri or 'the photo set'}: {post.detail} ({post.reason})")
            # Only whole files stay: they are the base of most later variants, and a decoded video is large.
            if cut.window is None:
                self._whole = {cut: post}
            yield post


def _apply(variant: Variant, post: DecodedPost) -> DecodedPost:
    assert post.media is not None
    media = hide(post.media, variant.hidden) if variant.hidden else post.media
    return replace(post, request=replace(post.request, context=variant.draft.context), media=media)
