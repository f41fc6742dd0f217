"""Topics are clusters of embeddings, named by the words of their posts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from tests.trends.made import days_ago, write_posts
from viral.extractors.feature_set import FeatureSet
from viral.features.feature_table import feature_row, features_table
from viral.features.posts import ExtractionResult
from viral.features.reuse import write_feature_card
from viral.storage.store import Store
from viral.trends.trends import compute_trends

SET = FeatureSet.from_dict({"name": "small", "extractors": ["caption", "craft"]})
WORDS = (("dance", "music"), ("football", "goal"))


def test_planted_clusters_are_topics_with_readable_names(tmp_path: Path) -> None:
    store, rng = Store.open(tmp_path), np.random.default_rng(0)
    centres = rng.normal(size=(2, SET.dims["caption"]))
    # Football doubles in the newest week; a tenth of the posts has no vectors.
    topics = np.concatenate([np.arange(120) % 2, np.ones(40, int)])
    days = np.concatenate([rng.random(120) * 50, rng.random(40) * 6])
    posts = [
        {"caption": f"the {WORDS[topic][n % 2]} {WORDS[topic][0]} x{n}", "posted_at": days_ago(float(day)), "views": n}
        for n, (topic, day) in enumerate(zip(topics, days, strict=True))
    ]
    write_posts(store, posts)
    table = features_table(store, SET)
    write_feature_card(store, SET)
    results = [
        ExtractionResult(
            f"post {n}",
            "ok",
            vectors={
                "caption": (centres[topic] + rng.normal(scale=0.3, size=centres.shape[1])).astype(np.float32),
                "craft": rng.normal(size=SET.dims["craft"]).astype(np.float32),
            },
        )
        for n, topic in enumerate(topics)
        if n % 10
    ]
    table.append(pa.Table.from_pylist([feature_row(result, SET) for result in results], schema=table.schema), 0)
    found = compute_trends(store)
    rows = [row for row in found.trends.to_pylist() if row["kind"] == "topic"]
    names = [row["name"].split(" · ") for row in rows]
    assert rows and all("football" in name or "dance" in name for name in names)
    football = [row for row, name in zip(rows, names, strict=True) if "football" in name]
    assert rows[0] in football and sum(row["clips"] for row in football) >= 36
    behind = {row["post_id"] for row in found.posts.to_pylist() if row["trend_id"] == rows[0]["trend_id"]}
    assert {topics[int(post.split()[1])] for post in behind} == {1}
    # Named columns of an extractor are compared, too.
    assert any(row["feature"].startswith("craft: ") for row in found.features.to_pylist())
