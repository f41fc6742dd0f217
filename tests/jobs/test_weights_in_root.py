"""Workers find their weights in the root, wherever they run."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save

from jobs import backfill, ingest
from jobs.extract import features_table
from tests.weights.tiny import Tiny
from viral.config import Settings
from viral.errors import WeightsError
from viral.extractors.feature_set import Entry, FeatureSet
from viral.extractors.root_weights import RootWeights
from viral.store import Store

SETS = FeatureSet("tiny", (Entry(Tiny(weights="root:models/mine/0001/w.safetensors")),))


def test_a_backfill_reads_weights_below_the_root(ray_session, shared_data, shortest, tmp_path):
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    video = shared_data / "tiktok_videos" / "videos" / f"{shortest[0]}.mp4"
    (tmp_path / "posts.csv").write_text(f"post_id,video_uri\n1,{video}\n")
    ingest.run(store, ingest.Source("csv", (str(tmp_path / "posts.csv"),)))
    with pytest.raises(WeightsError, match=r"no weights at .*root/models/mine/0001/w\.safetensors"):
        backfill.run(store, SETS, Settings())
    store.write("models/mine/0001/w.safetensors", save({"w": torch.full((4,), 0.25)}))
    said = backfill.run(store, SETS, Settings())
    assert (said.posts, said.ok) == (1, 1)
    rooted = SETS.with_resolve(RootWeights(store))
    assert said.table == rooted.table
    assert features_table(store, rooted).read()["tiny"].to_pylist() == [[1.0]]
