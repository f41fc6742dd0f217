"""The deployments behind the ingress: one decodes and encodes, one holds the model. They scale apart."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray import serve

from serve.champion import Follower
from serve.schemas import Draft, Encoded
from serve.settings import EndpointSpec
from viral.errors import UsageError
from viral.explain.explanation import as_json, explain, of_vectors
from viral.explain.variants import Draft as Explained
from viral.explain.variants import Rescorer
from viral.extractors.extractor import Vector
from viral.features.pipeline import Outcome, Pipeline
from viral.registry.registry import Registry, Saved
from viral.scoring.scorer import Scored, Scorer
from viral.storage.store import Store

BATCH_POSTS, BATCH_SECONDS = 32, 0.005  # the model takes well under a millisecond: waiting longer gains nothing


@dataclass(frozen=True)
class _Serving:
    """What an encoder serves: a model, and the pipeline that makes its vectors, those of one fingerprint."""

    scorer: Scorer
    vectors: str
    pipeline: Pipeline

    @property
    def model(self) -> str:
        return str(self.scorer.saved)


class Encoder:
    """Decodes in a sandbox and runs the extractors: the same `Pipeline` as a backfill.

    Where it follows the champion, it loads a new one beside the old one, in a thread, and then takes that: requests go
    on meanwhile. Each answer names the model whose feature set made the vectors.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)  # replicas share a node's cores; more replicas, not more threads, is what scales
        self.store, self.settings = Store(spec.root), spec.settings
        self.lock = threading.Lock()
        self.serving: _Serving | None = None
        follower = Follower(self.store, spec.model, self._use)
        follower.first()
        follower.follow(spec.settings.serve.follow_seconds)

    def _use(self, saved: Saved) -> None:
        scorer = Scorer(saved)  # all of the model, so that none is taken that cannot score
        before, feature_set = self.serving, scorer.feature_set
        vectors = feature_set.fingerprint
        if before and before.vectors == vectors:
            self.serving = _Serving(scorer, vectors, before.pipeline)
            return
        self.serving = _Serving(scorer, vectors, Pipeline(feature_set, self.store, self.settings))
        if before:
            with self.lock:  # whoever encodes with the old one has ended by then, and the next takes the new one
                before.pipeline.close()

    async def model(self) -> str:
        """The version whose vectors it makes now."""
        assert self.serving
        return self.serving.model

    async def __call__(self, draft: Draft) -> Encoded:
        """What became of the draft: its vectors, or the reason why there are none; and for which model."""
        return await asyncio.to_thread(self._encode, draft)

    def _encode(self, draft: Draft) -> Encoded:
        if draft.content is None:
            return self._run(draft.uri, draft)
        # A file without a name: it is gone with this process, however that ends.
        with tempfile.TemporaryFile(prefix="viral-upload-") as file:
            file.write(draft.content)
            file.flush()
            return self._run(f"/proc/{os.getpid()}/fd/{file.fileno()}", draft)

    def _run(self, uri: str | None, draft: Draft) -> Encoded:
        with self.lock:
            serving = self.serving
            assert serving
            outcome = serving.pipeline.one(uri, draft.context)
            explanation = _explained(serving, uri, draft, outcome) if draft.explain else None
            return Encoded(outcome, serving.model, explanation)


def _explained(serving: _Serving, uri: str | None, draft: Draft, outcome: Outcome) -> Mapping[str, Any] | None:
    """Why it scores as it does; None where it is not scored. A video is decoded several times: some seconds."""
    scorer = serving.scorer
    if not any(outcome.vectors.get(stream.name) is not None for stream in scorer.streams):
        return None
    if uri is None or not outcome.facts.seen_seconds:
        return as_json(of_vectors(scorer, outcome.vectors, before=draft.context.posted_at))
    try:
        return explain(Rescorer(serving.pipeline, scorer), Explained(uri, draft.context)).to_dict()
    except UsageError:  # it was scored a moment ago: the score stands; the error would name files of this machine
        return {"refused": "its video could not be read in parts"}


class Model:
    """Holds the weights; scores what arrives within a few milliseconds in one go.

    It scores vectors by the very version that they were made for: the one that is served, the one before while answers
    of it are still on their way, or one that it has not seen yet and loads then.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)
        self.store = Store(spec.root)
        self.scorers: dict[str, Scorer] = {}
        Follower(self.store, spec.model, self._use).first()

    @serve.batch(max_batch_size=BATCH_POSTS, batch_wait_timeout_s=BATCH_SECONDS)  # type: ignore[untyped-decorator]  # Ray has no types
    async def __call__(self, rows: list[dict[str, Vector | None]], models: list[str]) -> list[Scored | None]:
        """Score posts by their vectors and the versions that those are of; None for one without any that it takes."""
        scored: list[Scored | None] = [None] * len(rows)
        for model in dict.fromkeys(models):
            scorer = await self._scorer(model)
            takes = [any(row.get(stream.name) is not None for stream in scorer.streams) for row in rows]
            places = [at for at, known in enumerate(takes) if known and models[at] == model]
            for at, said in zip(places, scorer.score([rows[at] for at in places]), strict=True):
                scored[at] = said
        return scored

    async def _scorer(self, model: str) -> Scorer:
        if model not in self.scorers:
            await asyncio.to_thread(lambda: self._use(Registry(self.store).load(model)))
        return self.scorers[model]

    def _use(self, saved: Saved) -> None:
        newest = list(self.scorers.items())[-1:]
        self.scorers = {**dict(newest), str(saved): Scorer(saved)}
