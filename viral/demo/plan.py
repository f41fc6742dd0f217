"""Plan of a synthetic corpus: traits, caption and counts of each post, without rendering."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from viral.demo.captions import write_caption
from viral.demo.spec import CorpusSpec

Array = npt.NDArray[np.float64]

CUT_RATE = (0.15, 1.6)
"""Cuts per second, drawn uniformly: from one cut in the shortest clip to about one in 0.6 seconds."""
OPENING_DB = (-36.0, -14.0)
"""Loudness of the opening in dBFS (root mean square), drawn uniformly: quieter to louder than the rest."""
BODY_DB = (-28.0, -20.0)
"""Loudness of the rest in dBFS, drawn uniformly; it has no effect on views."""
BASE_LOG_VIEWS = 8.5  # about 4,900 views
FIRST_DAY, DAYS = datetime(2025, 1, 1, tzinfo=UTC), 120  # arbitrary: the time of posting has no effect on views
DAYS_TO_SCRAPE = 30  # from the last post to the scrape, so that every post had time to collect views

# Fractions of posts with a missing modality: 16 to 20 of 400, enough to exercise the handling of missing values.
_NO_SOUND, _NO_CAPTION, _NO_FOLLOWERS = 0.05, 0.04, 0.04
_FOLLOWER_CORRELATION = 0.7  # of log followers with the author's strength
# Median reactions per view: invented, because no effect depends on them.
_RATES = {"likes": 0.08, "comments": 0.006, "shares": 0.008, "saves": 0.01}


@dataclass(frozen=True)
class PlannedSound:
    """Sound of a clip: number of the tune, and loudness of the opening and of the rest (dBFS, root mean square)."""

    number: int
    original: bool
    opening_db: float
    body_db: float


@dataclass(frozen=True)
class Clip:
    """Plan of one clip. `cuts` are the indices of frames that begin a new scene; `seed` determines the look."""

    post_id: str
    seed: tuple[int, ...]
    frames: int
    cuts: tuple[int, ...]
    sound: PlannedSound | None


@dataclass(frozen=True)
class Author:
    """An invented author. `strength`, in standard deviations, increases the views of all posts."""

    author_id: str
    strength: float
    followers: int


@dataclass(frozen=True)
class PlannedPost:
    """One post before its clip is rendered.

    `terms` are the contributions of the author and of each trait to log views. `mishap` is None without a caption.
    """

    clip: Clip
    author: Author
    followers: int | None
    posted_at: datetime
    scraped_at: datetime
    duration_seconds: float
    cut_rate: float
    caption: str | None
    mishap: bool | None
    terms: dict[str, float]
    counts: dict[str, int]

    @property
    def score(self) -> float:
        """Contribution of the content to log views."""
        return self.terms["cut_rate"] + self.terms["opening_loudness"] + self.terms["mishap"]

    @property
    def expected_log_views(self) -> float:
        """Log views without noise."""
        return BASE_LOG_VIEWS + self.score + self.terms["author"]


def plan_posts(spec: CorpusSpec) -> list[PlannedPost]:
    """Plan the posts of a corpus, ordered by posting time.

    Traits are stratified and shuffled independently of each other and of the author. Even a small corpus thus has the
    specified distributions and little accidental correlation.
    """
    rng = np.random.default_rng([spec.seed, 0])
    # The order of the draws is part of the corpus: another order makes other posts from the same seed.
    authors = _authors(spec, rng)
    author_indices = _assign_authors(spec, rng)
    clips = _clips(spec, rng)
    mishaps = _stratified(rng, spec.posts) < 0.5
    no_caption, no_followers = _mask(rng, spec.posts, _NO_CAPTION), _mask(rng, spec.posts, _NO_FOLLOWERS)
    minutes = np.sort(rng.integers(0, DAYS * 24 * 60, spec.posts))
    noises = _normal(_stratified(rng, spec.posts)) * spec.noise
    return [
        plan_post(
            spec,
            clips[i],
            author=authors[author_indices[i]],
            mishap=None if no_caption[i] else bool(mishaps[i]),
            follower_count_known=not no_followers[i],
            posted_at=FIRST_DAY + timedelta(minutes=int(minutes[i])),
            noise=float(noises[i]),
        )
        for i in range(spec.posts)
    ]


def plan_post(
    spec: CorpusSpec,
    clip: Clip,
    *,
    author: Author,
    mishap: bool | None,
    follower_count_known: bool,
    posted_at: datetime,
    noise: float,
) -> PlannedPost:
    """Plan one post around a clip; `noise` is added to its log views."""
    # A generator per clip and purpose: a change in one draw does not move any other.
    rng = np.random.default_rng([*clip.seed, 1])
    seconds = clip.frames / spec.fps
    rate = len(clip.cuts) / seconds
    effects = spec.effects
    terms = {
        "author": effects.author * author.strength,
        "cut_rate": effects.cut_rate * _z(rate, CUT_RATE),
        "opening_loudness": effects.opening_loudness * _z(clip.sound.opening_db, OPENING_DB) if clip.sound else 0.0,
        "mishap": 0.0 if mishap is None else effects.mishap * (1.0 if mishap else -1.0),
    }
    views = round(float(np.exp(BASE_LOG_VIEWS + sum(terms.values()) + noise)))
    return PlannedPost(
        clip=clip,
        author=author,
        followers=author.followers if follower_count_known else None,
        posted_at=posted_at,
        scraped_at=FIRST_DAY + timedelta(days=DAYS + DAYS_TO_SCRAPE),
        duration_seconds=seconds,
        cut_rate=rate,
        caption=None if mishap is None else write_caption(rng, mishap=mishap),
        mishap=mishap,
        terms=terms,
        counts={"views": views} | _reactions(rng, views),
    )


def plan_clip(
    spec: CorpusSpec, post_id: str, index: int, *, seconds: float, cut_rate: float, sound: PlannedSound | None
) -> Clip:
    """Plan a clip of about `cut_rate` cuts per second, at uneven times; `index` determines its look in the corpus."""
    seed = (spec.seed, 1, index)
    frames = round(seconds * spec.fps)
    count = round(cut_rate * frames / spec.fps)
    rng = np.random.default_rng([*seed, 0])
    spacing = frames / (count + 1)
    # By less than half of the spacing, so that the cuts keep their order and never coincide.
    cuts = (np.arange(1, count + 1) + rng.uniform(-0.3, 0.3, count)) * spacing
    return Clip(post_id, seed, frames, tuple(int(cut) for cut in np.round(cuts)), sound)


def _authors(spec: CorpusSpec, rng: np.random.Generator) -> list[Author]:
    # Stratified in place of drawn freely: 80 authors then have nearly the specified mean and variance.
    strengths = _normal(_stratified(rng, spec.authors))
    independent = _normal(_stratified(rng, spec.authors))
    # The weights keep the variance at 1.
    fame = _FOLLOWER_CORRELATION * strengths + np.sqrt(1 - _FOLLOWER_CORRELATION**2) * independent
    followers = np.exp(8.5 + 1.3 * fame).round()
    return [Author(f"author-{spec.seed}-{i:03d}", float(strengths[i]), int(followers[i])) for i in range(spec.authors)]


def _assign_authors(spec: CorpusSpec, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    # Concentration 4: some authors post a few times more than others.
    activity = rng.dirichlet(np.full(spec.authors, 4.0))
    # One post for each author first, so that none is without.
    additional = rng.choice(spec.authors, spec.posts - spec.authors, p=activity)
    return rng.permutation(np.concatenate([np.arange(spec.authors), additional]))


def _clips(spec: CorpusSpec, rng: np.random.Generator) -> list[Clip]:
    seconds = _between(spec.seconds, _stratified(rng, spec.posts))
    rates = _between(CUT_RATE, _stratified(rng, spec.posts))
    opening = _between(OPENING_DB, _stratified(rng, spec.posts))
    body = _between(BODY_DB, _stratified(rng, spec.posts))
    # About three posts per tune, so that sounds have a history.
    tunes = rng.integers(0, max(1, spec.posts // 3), spec.posts)
    silent = _mask(rng, spec.posts, _NO_SOUND)
    return [
        plan_clip(
            spec,
            f"demo-{spec.seed}-{i:05d}",
            i,
            seconds=float(seconds[i]),
            cut_rate=float(rates[i]),
            sound=None
            if silent[i]
            else PlannedSound(int(tunes[i]), bool(tunes[i] % 2), round(float(opening[i]), 3), round(float(body[i]), 3)),
        )
        for i in range(spec.posts)
    ]


def _reactions(rng: np.random.Generator, views: int) -> dict[str, int]:
    """Draw the counts of reactions from the views, by rates that vary per post."""
    # Reactions cannot exceed the views.
    return {name: int(rng.binomial(views, rate * np.exp(rng.normal(0, 0.35)))) for name, rate in _RATES.items()}


def _stratified(rng: np.random.Generator, count: int) -> Array:
    """Draw one number from each of `count` equal parts of (0, 1), in random order."""
    return (rng.permutation(count) + rng.uniform(0.01, 0.99, count)) / count


def _mask(rng: np.random.Generator, count: int, fraction: float) -> npt.NDArray[np.bool_]:
    return rng.permutation(count) < round(count * fraction)


def _normal(uniform: Array) -> Array:
    inverse = NormalDist().inv_cdf
    return np.array([inverse(float(u)) for u in uniform])


def _between(limits: tuple[float, float], uniform: Array) -> Array:
    return limits[0] + (limits[1] - limits[0]) * uniform


def _z(value: float, limits: tuple[float, float]) -> float:
    """Standardise a value by mean and standard deviation of the uniform distribution between the limits."""
    low, high = limits
    return float((value - (low + high) / 2) / ((high - low) / np.sqrt(12)))
