"""Predicted reach of a post: the probability of being viral, by a saved model."""

from __future__ import annotations

from pathlib import Path

from viral.config import Settings
from viral.errors import UsageError
from viral.extractors.extractor import Context
from viral.features.pipeline import Pipeline
from viral.monitor.feeds.feed import FeedItem
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

_CAPTIONS, _FOLLOWERS = ("caption", "description", "desc", "title"), ("author_followers", "channel_follower_count")


class Reach:
    """Scores posts with a model. Owns a child process: call `close`.

    Args:
        store: root of the model.
        model: `NAME`, `NAME/VERSION` or `NAME@champion`.
        settings: limits on media and the sandbox.
    """

    def __init__(self, store: Store, model: str, settings: Settings) -> None:
        self._scorer = Scorer.load(store, model)
        self._pipeline = Pipeline(self._scorer.feature_set, store, settings)

    def close(self) -> None:
        """End the child process."""
        self._pipeline.close()

    def probability(self, path: Path, item: FeedItem) -> float | None:
        """Probability of being viral; None if the post cannot be scored."""
        caption = next((str(item.post[name]) for name in _CAPTIONS if item.post.get(name)), None)
        followers = next((item.post[name] for name in _FOLLOWERS if isinstance(item.post.get(name), int)), None)
        features = self._pipeline.extract_draft(str(path), Context(caption=caption, author_followers=followers))
        if features.status == "failed":
            return None
        try:
            return self._scorer.score([features.vectors])[0].probability
        except UsageError:  # it has none of the model's inputs
            return None
