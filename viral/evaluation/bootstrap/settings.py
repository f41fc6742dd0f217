"""Settings of an evaluation, and the base class of all records in a scorecard."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable record of a scorecard; renamed fields have their old JSON keys as aliases."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class EvaluationSettings(Frozen):
    """How the metrics were computed.

    Attributes:
        threshold: lowest probability at which a post is called viral.
        level: level of the model's intervals and of the bootstrap intervals.
        k: length of the top list.
        quartile: 75th percentile of the training posts' scores.
        log_scale: whether the score is the logarithm of a count.
        resamples: number of bootstrap draws.
        seed: seed of the bootstrap.
        compared_posts: number of posts that give the intervals of Kendall and pairwise accuracy: all, or a sample of a
            large test split. All other intervals use all test posts.
        compared_authors: number of authors of these posts.
    """

    threshold: float
    level: float
    k: int
    quartile: float | None = None
    log_scale: bool = False
    resamples: int
    seed: int
    compared_posts: int = 0
    compared_authors: int = 0
