"""The deployments behind the ingress: one decodes and encodes, one holds the model. They scale apart."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from ray import serve

from serve.settings import EndpointSpec
from viral.extractors.extractor import Context, Vector
from viral.pipeline import Outcome, Pipeline
from viral.scorer import Scored, Scorer
from viral.store import Store

BATCH_POSTS, BATCH_SECONDS = 32, 0.005  # the model takes well under a millisecond: waiting longer gains nothing


@dataclass(frozen=True)
class Draft:
    """What is to be scored: a video as bytes or by URI, and what is known of it. Without a video, the words alone."""

    context: Context
    content: bytes | None = None
    suffix: str = ""
    uri: str | None = None


class Encoder:
    """Decodes in a sandbox and runs the extractors: the same `Pipeline` as a backfill."""

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)  # replicas share a node's cores; more replicas, not more threads, is what scales
        store = Store(spec.root)
        scorer = Scorer.load(store, spec.model)
        self.pipeline = Pipeline(scorer.feature_set, store, spec.settings)
        self.lock = threading.Lock()

    async def __call__(self, draft: Draft) -> Outcome:
        """What became of the draft: its vectors, or the reason why there are none."""
        return await asyncio.to_thread(self._encode, draft)

    def _encode(self, draft: Draft) -> Outcome:
        if draft.content is None:
            return self._run(draft.uri, draft.context)
        with tempfile.TemporaryDirectory(prefix="viral-upload-") as folder:
            path = Path(folder, f"upload{draft.suffix}")
            path.write_bytes(draft.content)
            return self._run(str(path), draft.context)

    def _run(self, uri: str | None, context: Context) -> Outcome:
        with self.lock:
            return self.pipeline.one(uri, context)


class Model:
    """Holds the weights; scores what arrives within a few milliseconds in one go."""

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)
        self.scorer = Scorer.load(Store(spec.root), spec.model)

    @serve.batch(max_batch_size=BATCH_POSTS, batch_wait_timeout_s=BATCH_SECONDS)  # type: ignore[untyped-decorator]
    async def __call__(self, rows: list[dict[str, Vector | None]]) -> list[Scored]:
        """Score posts by their vectors; each has at least one."""
        return self.scorer.score(rows)
