"""The deployments behind the ingress: `EncoderDeployment` extracts vectors, `ModelDeployment` scores them.

They scale separately: decoding and extraction take seconds, scoring takes well under a millisecond.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray import serve

from serve.champion import ChampionWatcher
from serve.schemas import EncodedDraft, ScoreInput
from serve.settings import EndpointSpec
from viral.errors import UsageError
from viral.explain.explanation import explain, explain_vectors, to_json
from viral.explain.variants import Draft, Rescorer
from viral.extractors.extractor import Vector
from viral.features.pipeline import Pipeline
from viral.features.posts import ExtractionResult
from viral.registry.registry import ModelVersion, Registry
from viral.scoring.scorer import Score, Scorer
from viral.storage.store import Store

BATCH_POSTS, BATCH_SECONDS = 32, 0.005  # the model takes well under a millisecond: waiting longer gains nothing


@dataclass(frozen=True)
class ServedModel:
    """A model in service, with the pipeline and the fingerprint of its feature set."""

    scorer: Scorer
    fingerprint: str
    pipeline: Pipeline

    @property
    def model(self) -> str:
        """`name/version`."""
        return str(self.scorer.saved)


class EncoderDeployment:
    """Decodes drafts in a sandbox and runs the extractors, with the same `Pipeline` as a backfill.

    A new champion is loaded in a thread while the old one goes on serving, and then replaces it. Each result names the
    model version that its vectors were extracted for.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)  # replicas share a node's cores, so the endpoint scales by replicas, not by threads
        self.store, self.settings = Store(spec.root), spec.settings
        self.lock = threading.Lock()
        self.served: ServedModel | None = None
        watcher = ChampionWatcher(self.store, spec.model, self._load)
        watcher.load_current()
        watcher.start(spec.settings.serve.follow_seconds)

    def _load(self, saved: ModelVersion) -> None:
        scorer = Scorer(saved)  # loads the weights too, so that a model that cannot score is never put into service
        previous, feature_set = self.served, scorer.feature_set
        fingerprint = feature_set.fingerprint
        if previous and previous.fingerprint == fingerprint:
            self.served = ServedModel(scorer, fingerprint, previous.pipeline)
            return
        self.served = ServedModel(scorer, fingerprint, Pipeline(feature_set, self.store, self.settings))
        if previous:
            with self.lock:  # wait for a request that still uses the old pipeline; the next one takes the new
                previous.pipeline.close()

    async def model(self) -> str:
        """Return the served model version."""
        assert self.served
        return self.served.model

    async def __call__(self, draft: ScoreInput) -> EncodedDraft:
        """Extract the vectors of a draft; the result reports a failure."""
        return await asyncio.to_thread(self._encode, draft)

    def _encode(self, draft: ScoreInput) -> EncodedDraft:
        if draft.content is None:
            return self._run(draft.uri, draft)
        # An unnamed temporary file disappears with this process, even if the process is killed.
        with tempfile.TemporaryFile(prefix="viral-upload-") as file:
            file.write(draft.content)
            file.flush()
            return self._run(f"/proc/{os.getpid()}/fd/{file.fileno()}", draft)

    def _run(self, uri: str | None, draft: ScoreInput) -> EncodedDraft:
        with self.lock:
            served = self.served
            assert served
            result = served.pipeline.extract_draft(uri, draft.context)
            explanation = _explain(served, uri, draft, result) if draft.explain else None
            return EncodedDraft(result, served.model, explanation)


def _explain(
    served: ServedModel, uri: str | None, draft: ScoreInput, result: ExtractionResult
) -> Mapping[str, Any] | None:
    """Explain the score; None if the draft cannot be scored. Decodes a video several times, which takes seconds."""
    scorer = served.scorer
    if not any(result.vectors.get(stream.name) is not None for stream in scorer.streams):
        return None
    if uri is None or not result.facts.seen_seconds:
        return to_json(explain_vectors(scorer, result.vectors, before=draft.context.posted_at))
    try:
        return explain(Rescorer(served.pipeline, scorer), Draft(uri, draft.context)).to_dict()
    except UsageError:  # the score itself is fine; the error's message may contain local file names
        return {"refused": "parts of the video could not be decoded"}


class ModelDeployment:
    """Holds the weights and scores concurrent requests as one batch.

    Vectors are scored by the model version that they were extracted for. The two versions loaded last stay in memory;
    another one is loaded on its first request.
    """

    def __init__(self, spec: EndpointSpec) -> None:
        import torch

        torch.set_num_threads(1)
        self.store = Store(spec.root)
        self.scorers: dict[str, Scorer] = {}
        ChampionWatcher(self.store, spec.model, self._load).load_current()

    @serve.batch(max_batch_size=BATCH_POSTS, batch_wait_timeout_s=BATCH_SECONDS)  # type: ignore[untyped-decorator]  # Ray has no types
    async def __call__(self, rows: list[dict[str, Vector | None]], models: list[str]) -> list[Score | None]:
        """Score each row with its model version; None for a row that has none of that model's inputs."""
        scores: list[Score | None] = [None] * len(rows)
        for model in dict.fromkeys(models):
            scorer = await self._scorer(model)
            has_inputs = [any(row.get(stream.name) is not None for stream in scorer.streams) for row in rows]
            indices = [i for i, usable in enumerate(has_inputs) if usable and models[i] == model]
            for i, score in zip(indices, scorer.score([rows[i] for i in indices]), strict=True):
                scores[i] = score
        return scores

    async def _scorer(self, model: str) -> Scorer:
        if model not in self.scorers:
            await asyncio.to_thread(lambda: self._load(Registry(self.store).load(model)))
        return self.scorers[model]

    def _load(self, saved: ModelVersion) -> None:
        newest = list(self.scorers.items())[-1:]
        self.scorers = {**dict(newest), str(saved): Scorer(saved)}
