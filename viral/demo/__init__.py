"""Synthetic corpus of short videos whose views depend on their content by a documented formula."""

from viral.demo.corpus import generate, new_clip
from viral.demo.plan import PlannedPost, plan_posts
from viral.demo.spec import CorpusSpec, Effects

__all__ = ["CorpusSpec", "Effects", "PlannedPost", "generate", "new_clip", "plan_posts"]
