"""Planted truth of a corpus, as JSON (truth.json) and as text (README.txt)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from viral.demo.plan import BASE_LOG_VIEWS, BODY_DB, CUT_RATE, OPENING_DB, PlannedPost
from viral.demo.spec import OPENING_SECONDS, CorpusSpec

RECIPE = 1
"""Version of the generator, stored with each corpus. Increase it when the same spec gives another corpus."""

_CONTENT = ("cut_rate", "opening_loudness", "mishap")

README = """\
This folder is synthetic: a program made every picture, sound, caption and count. No real person, account, video or
sound is in it, and it says nothing about a real platform.

  videos/      {posts} clips of moving shapes and synthetic tones
  posts.csv    one row per clip, with the columns of a scrape
  truth.json   the planted truth, for evaluation only: models must not read it

The natural logarithm of the views of a post is
  {base}
  + {author:g} x the strength of its (invented) author
  + {cut_rate:g} x its cuts per second
  + {opening_loudness:g} x the loudness of its first {opening:g} seconds, in decibels
  + {mishap:g} if its caption describes a mishap, - {mishap:g} if it describes a calm moment
  + {noise:g} x noise
where strength, cuts and loudness are standardised. The three traits of the content are independent of each other, of
the author and of the time of posting. So content explains {content:.0%} of the variance, the author {by_author:.0%}
and noise {by_noise:.0%}. The followers correlate with the author's strength (about 0.7). Nothing else has an effect on
views: not the colours, the motion, the tune, the topic, the hashtags, the hour or the length. Likes, comments, shares
and saves are drawn from the views.

Missing on purpose: the sound of about 5 % of the clips, the caption of 4 % of the posts and the follower count of 4 %.
A missing trait adds nothing to the views.
"""


def variance_shares(spec: CorpusSpec) -> dict[str, float]:
    """Fraction of the variance of log views per term, as specified."""
    squares = {name: value**2 for name, value in asdict(spec.effects).items()} | {"noise": spec.noise**2}
    total = sum(squares.values()) or 1.0
    return {name: square / total for name, square in squares.items()}


def truth(spec: CorpusSpec, posts: Sequence[PlannedPost]) -> dict[str, Any]:
    """Collect the planted truth of a corpus, for JSON."""
    return {
        "synthetic": True,
        **identity(spec),
        "base_log_views": BASE_LOG_VIEWS,
        "effects_per_standard_deviation": asdict(spec.effects),
        "uniform_between": {"cut_rate": CUT_RATE, "opening_db": OPENING_DB, "body_db": BODY_DB},
        "opening_seconds": OPENING_SECONDS,
        "variance_shares": {"stated": variance_shares(spec), "realised": _realised(posts)},
        "posts": [post_truth(post, spec) for post in posts],
    }


def identity(spec: CorpusSpec) -> dict[str, Any]:
    """Identity of a corpus: generator version and spec."""
    return {"recipe": RECIPE, "spec": spec.as_dict()}


def post_truth(post: PlannedPost, spec: CorpusSpec) -> dict[str, Any]:
    """Collect the planted truth of one post; cut times in seconds, loudness in dBFS."""
    sound = post.clip.sound
    return {
        "post_id": post.clip.post_id,
        "author_id": post.author.author_id,
        "author_strength": post.author.strength,
        "cut_seconds": [cut / spec.fps for cut in post.clip.cuts],
        "cut_rate": post.cut_rate,
        "opening_db": sound.opening_db if sound else None,
        "body_db": sound.body_db if sound else None,
        "mishap": post.mishap,
        "terms": post.terms,
        "content_score": post.score,
        "expected_log_views": post.expected_log_views,
    }


def readme(spec: CorpusSpec) -> str:
    """Describe the corpus as text."""
    shares = variance_shares(spec)
    return README.format(
        posts=spec.posts,
        base=BASE_LOG_VIEWS,
        **asdict(spec.effects),
        noise=spec.noise,
        opening=OPENING_SECONDS,
        content=sum(shares[name] for name in _CONTENT),
        by_author=shares["author"],
        by_noise=shares["noise"],
    )


def _realised(posts: Sequence[PlannedPost]) -> dict[str, float]:
    """Compute the fraction of the variance of log views per term in this corpus."""
    total = float(np.var([np.log1p(post.counts["views"]) for post in posts])) or 1.0
    return {name: float(np.var([post.terms[name] for post in posts])) / total for name in posts[0].terms}
