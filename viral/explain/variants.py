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
    """A post that is not published yet; `video` is a path or URI, None for a draft of text alone.

    `author_id` is as in the posts table; no model sees it.
    """

    video: str | None
    context: Context = field(default_factory=Context)
    author_id: str | None = None


@dataclass(frozen=True)
class Variant:
    """A draft cut to `window`, or without the part `hidden`; times count from the start of the window.

    Raises:
        ConfigError: the draft has no video to cut.
    """

    draft: Draft
    window: ClipWindow | None = None
    hidden: ClipWindow | None = None

    def __post_init__(self) -> None:
        if self.draft.video is None and (self.window or self.hidden):
            raise ConfigError("a draft without a video cannot be cut")


ScoreFunction = Callable[[Sequence[Variant]], Sequence[Score]]
"""Scores variants, in their order."""

_Cut = tuple[str | None, ClipWindow | None]


class Rescorer:
    """Scores variants. Decodes each cut of a file once per call, and keeps the last whole file decoded.

    Args:
        pipeline: extracts features, of the scorer's feature set.
        scorer: the model.
    """

    def __init__(self, pipeline: Pipeline, scorer: Scorer) -> None:
        self._pipeline, self.scorer = pipeline, scorer
        self._whole: dict[_Cut, DecodedPost] = {}

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
        by_cut: dict[_Cut, list[int]] = {}
        for index, variant in enumerate(variants):
            # Variants of the same cut share one decode, and differ only in what is done to the decoded frames and the
            # context.
            by_cut.setdefault((variant.draft.video, variant.window), []).append(index)
        results: dict[int, ExtractionResult] = {}
        for indices, post in zip(by_cut.values(), self._decode(by_cut), strict=True):
            # As in the pipeline: the hidden frames of a whole video need memory.
            for start in range(0, len(indices), ENCODE_BATCH_SIZE):
                group = indices[start : start + ENCODE_BATCH_SIZE]
                posts = [_apply(variants[index], post) for index in group]
                results.update(zip(group, self._pipeline.encoder.encode(posts), strict=True))
        return [results[index] for index in range(len(variants))]

    def _decode(self, cuts: Iterable[_Cut]) -> Iterator[DecodedPost]:
        cuts, cached = list(cuts), self._whole
        decoded = self._pipeline.reader.read(
            ExtractionRequest("draft", video, window=window)
            for video, window in cuts
            if video is not None and (video, window) not in cached
        )
        for cut in cuts:
            if cut[0] is None:
                yield DecodedPost(ExtractionRequest("draft", None), Media(Facts()))
                continue
            post = cached[cut] if cut in cached else next(decoded)
            if post.media is None:
                raise UsageError(f"{cut[0]}: {post.detail} ({post.reason})")
            # Only whole files stay: they are the base of most later variants, and a decoded video is large.
            if cut[1] is None:
                self._whole = {cut: post}
            yield post


def _apply(variant: Variant, post: DecodedPost) -> DecodedPost:
    assert post.media is not None
    media = hide(post.media, variant.hidden) if variant.hidden else post.media
    return replace(post, request=replace(post.request, context=variant.draft.context), media=media)
