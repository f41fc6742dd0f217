"""The routes that score ready vectors and stored posts, list models and compare videos."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import torch

from serve.jobs import JobStore, run_job
from serve.schemas import BatchDraft, BatchRequest
from viral.config import Settings
from viral.datasets.streams import Stream
from viral.features.feature_table import feature_row, features_table
from viral.features.posts import ExtractionResult
from viral.scoring.scorer import Scorer
from viral.storage.store import Store

Check = Callable[..., Any]

FEATURES, ARROW = "/v1/score/features", "application/vnd.apache.arrow.stream"


@pytest.fixture(scope="module")
def scorer(root: Path) -> Iterator[Scorer]:
    """The model, on one thread as in the endpoint: sums of floats depend on their order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Scorer.load(Store.open(root), "tiny", numpy=True)
    torch.set_num_threads(threads)


def vectors(streams: tuple[Stream, ...], seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {stream.name: rng.normal(size=stream.dim).astype(np.float32) for stream in streams}


def test_every_subset_of_modalities_is_scored(client: httpx.Client, scorer: Scorer) -> None:
    """Also those that no draft brings by itself."""
    full = vectors(scorer.streams)
    subsets = [there for size in range(len(scorer.streams) + 1) for there in combinations(scorer.streams, size)]
    rows = [{stream.name: full[stream.name].tolist() for stream in there} for there in subsets]
    reply = client.post(FEATURES, json={"vectors": rows})
    assert reply.status_code == 200, reply.text
    nothing, *scores = reply.json()["scores"]
    assert nothing is None
    for there, row, score in zip(subsets[1:], rows[1:], scores, strict=True):
        assert set(score["modalities"]) == {stream.modality for stream in there}
        assert set(score["missing"]) == {s.modality for s in scorer.streams} - set(score["modalities"])
        (expected,) = scorer.score([{name: np.float32(values) for name, values in row.items()}])
        assert score["probability"] == pytest.approx(expected.probability, rel=1e-12)  # a batch sums in another order
        assert math.isfinite(score["score"])


def to_arrow(columns: dict[str, Any]) -> bytes:
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def post_arrow(client: httpx.Client, body: bytes, query: str = "") -> httpx.Response:
    return client.post(FEATURES + query, content=body, headers={"content-type": ARROW})


@pytest.mark.parametrize("rows", [1, 64, 300])
def test_arrow_gives_the_scores_of_json(client: httpx.Client, scorer: Scorer, rows: int) -> None:
    many = [vectors(scorer.streams, seed) for seed in range(rows)]
    columns = {s.name: pa.array([row[s.name].tolist() for row in many], pa.list_(pa.float32())) for s in scorer.streams}
    reply = post_arrow(client, to_arrow(columns), "?model=tiny")
    assert reply.status_code == 200, reply.text
    table = pa.ipc.open_stream(reply.content).read_all()
    assert table.schema.metadata[b"model"] == b"tiny/1"
    assert table["probability"].to_pylist() == [score.probability for score in scorer.score(many)]


def test_a_column_that_is_absent_is_a_missing_modality(client: httpx.Client, scorer: Scorer) -> None:
    row = vectors(scorer.streams)
    column = pa.array([row["caption"].tolist(), None], pa.list_(pa.float32(), len(row["caption"])))
    table = pa.ipc.open_stream(post_arrow(client, to_arrow({"caption": column})).content).read_all()
    (expected,) = scorer.score([{"caption": row["caption"]}])
    assert table["score"].to_pylist() == [expected.score, None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"colour": [[1.0]]}, "no input colour"),
        ({"caption": [[1.0, 2.0]]}, "caption: send vectors of 384 numbers"),
        ({"caption": [[math.nan] * 384]}, "NaN"),
        ({"caption": pa.array([[None] * 384], pa.list_(pa.float32()))}, "null"),
        ({"caption": ["text"]}, "caption: send vectors"),
        ({"caption": pa.array([], pa.list_(pa.float32()))}, "0 rows"),
    ],
)
def test_columns_that_do_not_fit_are_named(
    client: httpx.Client, columns: dict[str, Any], message: str, check_refusal: Check
) -> None:
    assert message in check_refusal(post_arrow(client, to_arrow(columns)), 422, "bad_field")


@pytest.mark.parametrize("body", [b"", b"no arrow", to_arrow({"caption": [[1.0]]})[:60]])
def test_a_stream_that_is_none_is_refused(client: httpx.Client, body: bytes, check_refusal: Check) -> None:
    check_refusal(post_arrow(client, body), 422, "bad_field")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"vectors": []}, "vectors: "),
        ({"vectors": [{"colour": [1.0]}]}, "no input colour"),
        ({"vectors": [{"caption": [1.0]}]}, "does not have 384 values"),
        ({"vectors": [{"caption": [1e300] * 384}]}, "vectors.0.caption"),
        ({"vectors": [{}], "models": "tiny"}, "models: no such field"),
    ],
)
def test_vectors_that_do_not_fit_are_named(
    client: httpx.Client, body: dict[str, Any], message: str, check_refusal: Check
) -> None:
    assert message in check_refusal(client.post(FEATURES, json=body), 422, "bad_field")


def test_deep_json_is_refused(client: httpx.Client, check_refusal: Check) -> None:
    body = b'{"vectors": ' + b"[" * 100_000
    reply = client.post(FEATURES, content=body, headers={"content-type": "application/json"})
    check_refusal(reply, 422, "bad_field")


def test_posts_of_the_root_are_scored_by_their_ids(client: httpx.Client, root: Path, scorer: Scorer) -> None:
    row = vectors(scorer.streams)
    results = [
        ExtractionResult("p1", "ok", vectors=row),
        ExtractionResult("p2", "failed", "unreadable", "no video"),
    ]
    features = features_table(Store.open(root), scorer.feature_set)
    features.append(
        pa.Table.from_pylist([feature_row(each, scorer.feature_set) for each in results], features.schema), 0
    )
    reply = client.post("/v1/score/posts", json={"post_ids": ["p1", "p2", "p3"]})
    assert reply.status_code == 200, reply.text
    scores = reply.json()["scores"]
    assert scores["p1"]["score"] == scorer.score([row])[0].score
    assert (scores["p2"], scores["p3"]) == (None, None)


def test_models_are_listed_and_named(client: httpx.Client, scorer: Scorer, check_refusal: Check) -> None:
    (model,) = client.get("/v1/models").json()["models"]
    assert (model["name"], model["default"], model["label"]) == ("tiny/1", True, "log_views")
    assert model["inputs"] == {stream.name: stream.dim for stream in scorer.streams}
    for name in ("tiny", "tiny/1"):
        assert client.post("/v1/score", json={"caption": "a", "model": name}).json()["model"] == "tiny/1"
    for name in ("tiny/2", "other", "tiny@champion", "../x"):
        reply = client.post("/v1/score", json={"caption": "a", "model": name})
        assert "tiny/1" in check_refusal(reply, 404, "unknown_model")


def test_videos_are_compared(client: httpx.Client, clip: Path, silent: Path, check_refusal: Check) -> None:
    files = [("file", (path.name, path.read_bytes())) for path in (clip, silent)]
    reply = client.post("/v1/compare", files=files, data={"caption": "a"})
    assert reply.status_code == 200, reply.text
    ranking = reply.json()["ranking"]
    assert {each["name"] for each in ranking} == {clip.name, silent.name}
    assert ranking[0]["score"]["score"] >= ranking[1]["score"]["score"]
    alone = {
        path.name: client.post("/v1/score", files={"file": path.read_bytes()}, data={"caption": "a"}).json()
        for path in (clip, silent)
    }
    assert all(each["score"]["score"] == alone[each["name"]]["score"] for each in ranking)
    check_refusal(client.post("/v1/compare", files=files[:1]), 422, "bad_field")
    named = client.post("/v1/compare", json={"uris": [f"videos/{clip.name}", "videos/none.mp4"]})
    assert "none.mp4" in check_refusal(named, 404, "missing_object")


def test_liveness_needs_no_model(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == client.get("/healthz").json()


def finished(client: httpx.Client, location: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        state: dict[str, Any] = client.get(location).json()
        if state["status"] in {"done", "failed"}:
            return state
        time.sleep(0.2)
    pytest.fail(f"{location} does not end")


def test_many_drafts_are_a_job_that_is_done_once(
    client: httpx.Client, root: Path, clip: Path, check_refusal: Check
) -> None:
    drafts = [{"caption": f"number {number}"} for number in range(40)]
    drafts += [{"uri": f"videos/{clip.name}", "caption": "a"}, {"uri": "videos/none.mp4"}, {}]
    reply = client.post("/v1/score/batch", json={"drafts": drafts})
    assert reply.status_code == 202, reply.text
    done = finished(client, reply.headers["location"])
    assert (done["status"], done["done"], done["total"]) == ("done", 43, 43)
    assert [result["index"] for result in done["results"]] == list(range(43))
    for number in (7, 40):
        alone = client.post("/v1/score", json=drafts[number]).json()
        assert done["results"][number]["score"]["score"] == pytest.approx(alone["score"], abs=1e-6)
    assert [result["reason"] for result in done["results"][41:]] == ["missing_object", "nothing_to_score"]
    assert str(root) not in done["results"][41]["detail"]
    again = client.post("/v1/score/batch", json={"drafts": drafts})
    assert (again.status_code, again.json()) == (202, done)
    check_refusal(client.get("/v1/jobs/" + "0" * 32), 404, "unknown_job")
    check_refusal(client.get("/v1/jobs/x"), 422, "bad_field")
    outside = client.post("/v1/score/batch", json={"drafts": [{"uri": "/etc/passwd"}]})
    check_refusal(outside, 403, "outside_root")


def test_a_job_goes_on_where_it_was(root: Path) -> None:
    jobs = JobStore(Store.open(root))
    request = BatchRequest(drafts=[BatchDraft(caption=f"go on {number}") for number in range(40)])
    job = jobs.create(request, "tiny/1")
    jobs.write_part(job, 0, [{"index": 0, "from": "before"}])
    assert job in jobs.unfinished()
    run_job(str(root), job, Settings())
    assert job not in jobs.unfinished()
    state = jobs.status(job)
    assert state
    assert [result["index"] for result in state["results"]] == [0, *range(32, 40)]  # the first part was not done again
