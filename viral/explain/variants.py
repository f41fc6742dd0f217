"""A draft, the same draft otherwise, and how both are scored: by the one path that all scores come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from viral.errors import ConfigError, UsageError
from viral.explain.hiding import hidden
from viral.extractors.extractor import Context
from viral.features.pipeline import GROUP, Outcome, Pipeline
from viral.features.reader import Decoded, Job
from viral.media.media import Facts, Media
from viral.media.window import Window
from viral.scoring.scorer import Scored, Scorer


@dataclass(frozen=True)
class Draft:
    """A post that is not out yet: where its video lies (None: it has words alone) and what is known of it.

    `author_id` is whose it is, as the posts table names authors; no model sees it.
    """

    video: str | None
    context: Context = field(default_factory=Context)
    author_id: str | None = None


@dataclass(frozen=True)
class Variant:
    """A draft of which only a `window` is shown, or a part is `hidden`; times count from the window's start.

    Raises:
        ConfigError: it has no video that could be cut.
    """

    draft: Draft
    window: Window | None = None
    hidden: Window | None = None

    def __post_init__(self) -> None:
        if self.draft.video is None and (self.window or self.hidden):
            raise ConfigError("a draft without a video cannot be cut")


Score = Callable[[Sequence[Variant]], Sequence[Scored]]
"""What explanations are made with: the score of each variant, in their order."""

_Cut = tuple[str | None, Window | None]


class Rescorer:
    """Scores variants. Each cut of a file is decoded once for all variants that share it; whole files stay decoded.

    Args:
        pipeline: makes the vectors, of the scorer's feature set.
        scorer: the model.
    """

    def __init__(self, pipeline: Pipeline, scorer: Scorer) -> None:
        self._pipeline, self.scorer = pipeline, scorer
        self._whole: dict[_Cut, Decoded] = {}

    def __call__(self, variants: Sequence[Variant]) -> list[Scored]:
        """The score of each variant, in their order. Raises as `scored` does."""
        return [scored for _, scored in self.scored(variants)]

    def scored(self, variants: Sequence[Variant]) -> list[tuple[Outcome, Scored]]:
        """The outcome of each variant and its score, in their order.

        Raises:
            UsageError: the video of one cannot be used, or it has nothing to be scored from.
        """
        outcomes = self.outcomes(variants)
        return list(zip(outcomes, self.scorer.score([outcome.vectors for outcome in outcomes]), strict=True))

    def outcomes(self, variants: Sequence[Variant]) -> list[Outcome]:
        """The vectors of each variant, in their order. Raises UsageError: the video of one cannot be used."""
        places: dict[_Cut, list[int]] = {}
        for place, variant in enumerate(variants):
            places.setdefault((variant.draft.video, variant.window), []).append(place)
        found: dict[int, Outcome] = {}
        for cut, post in zip(places, self._decoded(places), strict=True):
            for start in range(0, len(places[cut]), GROUP):
                group = places[cut][start : start + GROUP]
                posts = [_changed(post, variants[place]) for place in group]
                found.update(zip(group, self._pipeline.encoder.outcomes(posts), strict=True))
        return [found[place] for place in range(len(variants))]

    def _decoded(self, cuts: Iterable[_Cut]) -> Iterator[Decoded]:
        cuts, known = list(cuts), self._whole
        answers = self._pipeline.reader.run(
            Job("draft", video, window=window)
            for video, window in cuts
            if video is not None and (video, window) not in known
        )
        for cut in cuts:
            if cut[0] is None:
                yield Decoded(Job("draft", None), Media(Facts()))
                continue
            post = known[cut] if cut in known else next(answers)
            if post.media is None:
                raise UsageError(f"{cut[0]}: {post.detail} ({post.reason})")
            if cut[1] is None:
                self._whole = {cut: post}
            yield post


def _changed(post: Decoded, variant: Variant) -> Decoded:
    assert post.media is not None
    media = hidden(post.media, variant.hidden) if variant.hidden else post.media
    return replace(post, job=replace(post.job, context=variant.draft.context), media=media)
