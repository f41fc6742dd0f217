"""The deployments behind the ingress: one decodes and encodes, one holds the model. They scale apart."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading

from ray import serve

from serve.bodies import Draft
from serve.settings import EndpointSpec
from viral.extractors.extractor import Vector
from viral.pipeline import Outcome, Pipeline
from viral.scorer import Scored, Scorer
from viral.store import Store

BATCH_POSTS, BATCH_SECONDS = 32, 0.005  # the model takes well under a millisecond: waiting longer gains nothing


class Encoder:
    """Decodes in a sandbox and runs the extractors: the same `Pipeline` as a backfill."""

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)  # replicas share a node's cores; more replicas, not more threads, is what scales
        store = Store(spec.root)
        self.pipeline = Pipeline(Scorer.load(store, spec.model).feature_set, store, spec.settings)
        self.lock = threading.Lock()

    async def __call__(self, draft: Draft) -> Outcome:
        """What became of the draft: its vectors, or the reason why there are none."""
        return await asyncio.to_thread(self._encode, draft)

    def _encode(self, draft: Draft) -> Outcome:
        if draft.content is None:
            return self._run(draft.uri, draft)
        # A file without a name: it is gone with this process, however that ends.
        with tempfile.TemporaryFile(prefix="viral-upload-") as file:
            file.write(draft.content)
            file.flush()
            return self._run(f"/proc/{os.getpid()}/fd/{file.fileno()}", draft)

    def _run(self, uri: str | None, draft: Draft) -> Outcome:
        with self.lock:
            return self.pipeline.one(uri, draft.context)


class Model:
    """Holds the weights; scores what arrives within a few milliseconds in one go."""

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)
        self.scorer = Scorer.load(Store(spec.root), spec.model)

    @serve.batch(max_batch_size=BATCH_POSTS, batch_wait_timeout_s=BATCH_SECONDS)  # type: ignore[untyped-decorator]  # Ray has no types
    async def __call__(self, rows: list[dict[str, Vector | None]]) -> list[Scored | None]:
        """Score posts by their vectors; None for one that has nothing which the model takes."""
        takes = [any(row.get(stream.name) is not None for stream in self.scorer.streams) for row in rows]
        scored = iter(self.scorer.score([row for row, known in zip(rows, takes, strict=True) if known]))
        return [next(scored) if known else None for known in takes]
