"""`viral duplicates` on real files: copies are found, and the split leaves them out."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from jobs import ingest, label
from jobs.duplicates import command
from jobs.ingesting.source import IngestSource
from tests.media.copies import COPIES, write_copies
from viral.config import Settings
from viral.errors import TableError
from viral.evaluation.splits import SplitSpec
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import feature_row, features_table
from viral.features.posts import ExtractionRequest
from viral.features.reuse import DecodeStage, EncodeStage, write_feature_card
from viral.labels import LabelSpec
from viral.storage.store import Store

RATE, SIZE = 10, (224, 128)
EDITING = FeatureSet.from_dict({"name": "editing", "extractors": ["craft"]})


def write_video(path: Path, *shots: tuple[int, float]) -> None:
    """Encode shots of a soft random picture that drifts, each by its seed and its seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"x264-params": "scenecut=0:log-level=none"})
        stream.height, stream.width = SIZE
        for seed, seconds in shots:
            coarse = np.random.default_rng(seed).integers(0, 256, (9, 6), np.uint8)
            picture = av.VideoFrame.from_ndarray(coarse, format="gray").reformat(SIZE[1] + 32, SIZE[0], "rgb24")
            for number in range(round(seconds * RATE)):
                image = picture.to_ndarray()[:, number % 32 : number % 32 + SIZE[1]]
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A root with five copies of one video, three other videos, and one with the same intro; extracted without Ray."""
    store = Store.open(tmp_path_factory.mktemp("root"))
    folder = Path(store.root)
    for number in range(4):
        write_video(folder / f"other-{number}.mp4", (number, 2.0), (10 + number, 1.5), (20 + number, 2.5))
    write_video(folder / "intro.mp4", (0, 2.0), (10, 1.5), (30, 2.5))
    write_copies(folder / "other-0.mp4", folder)
    rows = ["post_id,author_id,posted_at,video_uri,views"]
    for number, path in enumerate(sorted(folder.glob("*.mp4"), key=lambda path: path.name != "other-0.mp4")):
        rows.append(f"{path.stem},author-{number},2024-01-{number + 1:02},{path},{100 + number}")
    (folder / "posts.csv").write_text("\n".join(rows))
    ingest.run(store, IngestSource("csv", (str(folder / "posts.csv"),)))
    posts = [row.split(",") for row in rows[1:]]
    stage = DecodeStage(EDITING, store, Settings())
    decoded = list(stage.decode([ExtractionRequest(post[0], post[3]) for post in posts], 0, 0))
    stage.close()
    results = [feature_row(result, EDITING) for result in EncodeStage(EDITING).encode(decoded)]
    features = features_table(store, EDITING)
    features.append(pa.Table.from_pylist(results, schema=features.schema), 0)
    return store


def test_the_five_kinds_of_copies_are_one_cluster(store: Store) -> None:
    answer = CliRunner().invoke(command, ["--root", store.root, "--json"], catch_exceptions=False)
    found = json.loads(answer.output)
    (cluster,) = found["clusters"]
    assert cluster["post_ids"][0] == "other-0"  # the earliest
    assert set(cluster["post_ids"]) == {"other-0", *(f"{kind}-other-0" for kind in COPIES)}
    assert 0.75 < cluster["similarity"] < 1
    assert (found["posts"], found["with_video"], found["unhashed"], found["copies"]) == (10, 10, 0, 5)


def test_clusters_are_listed_as_text(store: Store) -> None:
    answer = CliRunner().invoke(command, ["--root", store.root, "--limit", "1"], catch_exceptions=False)
    *summary, title, cluster = answer.output.splitlines()
    assert summary[-1].split() == ["copies", "5"]
    assert title == "similarity  posts of each of 1 clusters, from old to new"
    assert cluster.split()[1] == "other-0"
    none = CliRunner().invoke(command, ["--root", store.root, "--limit", "0"], catch_exceptions=False)
    assert none.output.splitlines() == [*summary, "… and 1 clusters more: --limit N or --json"]


def test_an_extractor_of_sound_leaves_the_hashes_of_reused_features(store: Store) -> None:
    write_feature_card(store, EDITING)
    grown = FeatureSet.from_dict({"name": "grown", "extractors": ["craft", "acoustics"]})
    stage = DecodeStage(grown, store, Settings())
    (decoded,) = stage.decode([ExtractionRequest("other-1", f"{store.root}/other-1.mp4")], 0, 0)
    stage.close()
    assert decoded.extractors == ("acoustics",)
    (result,) = EncodeStage(grown).encode([decoded])
    stored = features_table(store, EDITING).read(columns=["post_id", "video_hash"]).to_pylist()
    assert {"post_id": "other-1", "video_hash": result.facts.video_hash} in stored
    assert result.facts.video_hash is not None


def test_copies_are_on_no_side_of_the_split(store: Store) -> None:
    labelled = label.run(store, LabelSpec("log_views"), SplitSpec("random"))
    assert (labelled.copies, labelled.splits["unused"]) == (5, 5)


def test_a_root_without_features_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="ingest some first"):
        CliRunner().invoke(command, ["--root", str(tmp_path)], catch_exceptions=False)
    (tmp_path / "posts.csv").write_text("post_id,author_id,posted_at,views\n1,a,2024-01-01,5\n")
    ingest.run(Store.open(tmp_path), IngestSource("csv", (str(tmp_path / "posts.csv"),)))
    with pytest.raises(TableError, match="backfill first"):
        CliRunner().invoke(command, ["--root", str(tmp_path)], catch_exceptions=False)
