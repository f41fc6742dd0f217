"""Settings of an evaluation, and the base class of its records."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A part of a scorecard: never changed, and nothing in it that JSON cannot hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Settings(Frozen):
    """How the figures were made. `quartile` is the 75th percentile of the training posts' scores.

    `log_scale` says whether the score is the logarithm of a count. The intervals come from all posts of the test, those
    of Kendall and pairwise accuracy from the pairs among `compared_posts`: all too, or some authors' where it is large.
    """

    threshold: float
    level: float
    k: int
    quartile: float | None = None
    log_scale: bool = False
    resamples: int
    seed: int
    compared_posts: int
    compared_authors: int
