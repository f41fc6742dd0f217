"""Scoring jobs: many drafts in one request, scored in the background.

A job lies in the root: its request, its results in parts, and a file that says that it is done. Its id is the hash of
the request, so the same request is the same job, and is done once. A job goes on after a restart where it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serve.schemas import BatchRequest, ScoreRequest
from serve.settings import EndpointSpec
from viral.config import Settings
from viral.errors import StorageError
from viral.features.pipeline import Pipeline
from viral.features.posts import DecodedPost, ExtractionRequest, ExtractionResult
from viral.media.media import Facts, Media
from viral.scoring.scorer import Scorer
from viral.storage.store import Store, one_line, read_json

PREFIX = "score_jobs"
PART = 32  # drafts between two writes: a kill costs some seconds of work, and the parts of 10,000 drafts are 313
TASK_CPUS, TASK_RETRIES = 0.1, 3  # little, so that a job runs beside the deployments of a machine with two cores
NICENESS = 10  # requests that wait come first
_log = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class JobStore:
    """The scoring jobs of a root."""

    store: Store

    def create(self, request: BatchRequest, model: str) -> str:
        """Store a job, unless it exists; returns its id. A job that failed is tried again."""
        content = request.model_dump(mode="json") | {"model": model}
        body = json.dumps(content, sort_keys=True).encode()
        # 128 bits; the route of a job accepts ids of this form only.
        job = hashlib.sha256(body).hexdigest()[:32]
        self.store.write_new(self._key(job, "request.json"), body)
        if (ended := read_json(self.store, self._key(job, "done.json"))) and ended["problem"]:
            self.store.delete([self._key(job, "done.json")])
        return job

    def request(self, job: str) -> BatchRequest | None:
        """Return the request of a job; None if there is no such job."""
        stored = read_json(self.store, self._key(job, "request.json"))
        return None if stored is None else BatchRequest.model_validate(stored)

    def unfinished(self) -> list[str]:
        """Return the ids of the jobs that are not done."""
        files: dict[str, set[str]] = {}
        for info in self.store.objects(PREFIX):
            # score_jobs/JOB/FILE
            _, job, file = info.key.split("/", 2)
            files.setdefault(job, set()).add(file)
        return sorted(job for job, names in files.items() if "request.json" in names and "done.json" not in names)

    def part(self, job: str, number: int) -> list[dict[str, Any]] | None:
        """Return the results of a part; None if it is not done."""
        stored = read_json(self.store, self._key(job, f"part-{number:05d}.json"))
        return None if stored is None else stored["results"]

    def write_part(self, job: str, number: int, results: Sequence[dict[str, Any]]) -> None:
        """Store the results of one part of a job's drafts."""
        body = json.dumps({"results": list(results)}).encode()
        self.store.write(self._key(job, f"part-{number:05d}.json"), body)

    def finish(self, job: str, problem: str | None = None) -> None:
        """Mark a job as done, or as failed by a problem."""
        self.store.write(self._key(job, "done.json"), json.dumps({"problem": problem}).encode())

    def status(self, job: str) -> dict[str, Any] | None:
        """Return the body of a `JobResponse`; None if there is no such job."""
        request = self.request(job)
        if request is None:
            return None
        # Parts are read only once the job has ended: until then, counting their names is enough.
        total, ended = len(request.drafts), read_json(self.store, self._key(job, "done.json"))
        parts = [self.part(job, number) for number in range(_parts(total))] if ended else []
        names = {info.key.rpartition("/")[2] for info in self.store.objects(f"{PREFIX}/{job}")}
        done = min(total, PART * sum(name.startswith("part-") for name in names))
        problem = ended and ended["problem"]
        state = ("failed" if problem else "done") if ended else ("running" if done else "pending")
        results = [result for part in parts if part for result in part] if state == "done" else None
        return {"job": job, "status": state, "done": done, "total": total, "detail": problem, "results": results}

    @staticmethod
    def _key(job: str, file: str) -> str:
        return f"{PREFIX}/{job}/{file}"


def _parts(total: int) -> int:
    return -(-total // PART)


def run_job(root: str, job: str, settings: Settings) -> None:
    """Score the drafts of a job that have no result yet; may be run again at any time."""
    jobs = JobStore(Store(root))
    request = jobs.request(job)
    assert request is not None and request.model is not None, "the ingress stores it with its model"
    scorer = Scorer.load(jobs.store, request.model)
    with Pipeline(scorer.feature_set, jobs.store, settings) as pipeline:
        for number in range(_parts(len(request.drafts))):
            if jobs.part(job, number) is None:
                first = number * PART
                results = _score(pipeline, scorer, request.drafts[first : first + PART], first, root)
                jobs.write_part(job, number, results)
    jobs.finish(job)


def _run_in_background(root: str, job: str, settings: Settings) -> None:
    """Run a job as a Ray task."""
    import torch

    torch.set_num_threads(1)
    os.nice(max(0, NICENESS - os.nice(0)))  # a worker process may run several jobs
    run_job(root, job, settings)


def _score(
    pipeline: Pipeline, scorer: Scorer, drafts: Sequence[ScoreRequest], first: int, root: str
) -> list[dict[str, Any]]:
    requests = [
        ExtractionRequest(str(first + i), draft.uri, draft.context())  # the ingress made the URI a key below the root
        for i, draft in enumerate(drafts)
    ]
    videos = [request for request in requests if request.has_files]
    texts = [DecodedPost(request, Media(Facts())) for request in requests if not request.has_files]
    results = [*pipeline.encoder.encode(texts), *pipeline.extract(videos)]
    return [_row(result, scorer, root) for result in sorted(results, key=lambda result: int(result.post_id))]


def _row(result: ExtractionResult, scorer: Scorer, root: str) -> dict[str, Any]:
    # The scorer refuses a row without any input of the model.
    usable = any(result.vectors.get(stream.name) is not None for stream in scorer.streams)
    score = scorer.score([result.vectors])[0].to_dict() if usable else None
    detail = (result.detail or "").replace(f"{root}/", "") or None
    reason = result.reason if usable or result.reason else "nothing_to_score"
    status = result.status if usable else "failed"
    return {"index": int(result.post_id), "status": status, "reason": reason, "detail": detail, "score": score}


class JobsDeployment:
    """Runs the jobs of the root, one after the other, as Ray tasks; after a restart, first those that are not done."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._spec, self._jobs = spec, JobStore(Store(spec.root))
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._known: set[str] = set()
        self._loop: asyncio.Task[None] | None = None

    async def submit(self, job: str) -> None:
        """Run a job, unless it waits or runs already."""
        if job not in self._known:
            self._known.add(job)
            self._waiting.put_nowait(job)
        await self.check_health()

    async def check_health(self) -> None:
        """Start the loop, which needs the replica's event loop; Serve calls this soon after the start."""
        if self._loop is None or self._loop.done():
            for job in await asyncio.to_thread(self._jobs.unfinished):
                if job not in self._known:
                    self._known.add(job)
                    self._waiting.put_nowait(job)
            self._loop = asyncio.create_task(self._run())

    async def _run(self) -> None:
        import ray

        task = ray.remote(num_cpus=TASK_CPUS, max_retries=TASK_RETRIES)(_run_in_background)
        while True:
            job = await self._waiting.get()
            try:
                await task.remote(self._spec.root, job, self._spec.settings)
            except (StorageError, ray.exceptions.WorkerCrashedError) as error:  # it goes on after the next start
                _log.error("scoring job %s stopped: %s", job, one_line(error))
            except Exception as error:  # noqa: BLE001 - a job that cannot work must not end the others
                _log.exception("scoring job %s failed", job)
                problem = one_line(getattr(error, "cause", error)).replace(self._spec.root, "the root")
                await asyncio.to_thread(self._jobs.finish, job, problem)
            finally:
                self._known.discard(job)
