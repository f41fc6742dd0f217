"""Workers read weights from the root."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import torch
from safetensors.torch import save

from jobs import backfill
from jobs.backfilling.stages import BackfillSpec, ExtractChunk
from tests.weights.tiny import Tiny
from viral.config import Settings
from viral.errors import WeightsError
from viral.extractors.feature_set import ExtractorEntry, FeatureSet
from viral.features.feature_table import features_table
from viral.features.pipeline import with_root_weights
from viral.storage.store import Store
from viral.tables.places import posts_table
from viral.tables.schemas import POSTS

KEY = "models/mine/0001/w.safetensors"


def test_a_worker_of_a_backfill_reads_weights_below_the_root(clips, tmp_path):
    (tmp_path / "root").mkdir()
    store = Store.open(tmp_path / "root")
    video = clips[0]
    post = {"post_id": "1", "video_uri": str(video), "source": "csv", "scraped_at": datetime.now(UTC)}
    posts_table(store).append(pa.Table.from_pylist([post], POSTS), log2_buckets=0)
    sets = FeatureSet("tiny", (ExtractorEntry(Tiny(weights=f"root:{KEY}")),))
    with pytest.raises(WeightsError, match=r"no weights at .*root/models/mine/0001/w\.safetensors"):
        backfill.run(store, sets, Settings())
    store.write(KEY, save({"w": torch.full((4,), 0.25)}))
    rooted = with_root_weights(sets, store)
    spec = BackfillSpec(store, rooted, Settings(), None, log2_buckets=0)
    assert rooted.table, "the driver names the table before it sends the work"
    worker = ExtractChunk(pickle.loads(pickle.dumps(spec)))
    try:
        list(worker(pa.table({"bucket": [0], "shard": [0], "num_shards": [1]})))
    finally:
        worker.decode.stage.close()
    assert features_table(store, rooted).read()["tiny"].to_pylist() == [[1.0]]
    store.write(KEY, save({"w": torch.full((4,), 0.5)}))
    with pytest.raises(WeightsError, match=r"the weights of tiny on .* differ from those where the job was started"):
        ExtractChunk(pickle.loads(pickle.dumps(spec)))
