"""Random corpora without a leak, of many shapes, and the leaks to plant in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa

from tests.evaluation.leaks import START
from viral.datasets.streams import Batch, Stream
from viral.evaluation.audit import AuditSample, Evidence
from viral.evaluation.audit.evidence import ROWS
from viral.tables.schemas import COUNTS

STREAMS = (Stream("author", "metadata", 4), Stream("content", "text", 32))
LEAKS = (
    *("copy", "log", "rank", "bins_20", "bins_13", "noise_10", "noise_30", "replaced_30"),
    *("engagement_rate", "weighted_sum", "weighted_logs", "label"),
)


@dataclass(frozen=True)
class CleanCorpus:
    """Posts as `ROWS`, and honest inputs: of the author before the post, of its time, of its content."""

    rows: pa.Table
    batch: Batch

    def evidence(self, leak: np.ndarray | None = None) -> Evidence:
        """Evidence of the corpus; a leak replaces one column of the content."""
        vectors = {name: values.copy() for name, values in self.batch.vectors.items()}
        if leak is not None:
            vectors["content"][:, 7] = leak
        sample = AuditSample(self.rows, Batch(vectors, self.batch.present), self.rows.select(["author_id", *COUNTS]))
        return Evidence(streams=STREAMS, kind="author", rows=self.rows, sample=sample)


def clean_corpus(seed: int) -> CleanCorpus:
    """Draw a corpus of 150 to 2,500 posts, with 1 to 20 posts per author, who matter little or much."""
    rng = np.random.default_rng(seed)
    posts, each = int(rng.choice([150, 400, 1000, 2500])), int(rng.choice([1, 2, 5, 20]))
    author = rng.integers(0, max(10, posts // each), posts)
    author_share = rng.uniform(0.1, 0.85)  # of the variance of log views
    level, content = rng.normal(size=author.max() + 1), rng.normal(size=(posts, 32))
    signal = content[:, :8].sum(axis=1) / np.sqrt(8)
    noise = np.sqrt(1 - author_share) * (0.4 * signal + np.sqrt(1 - 0.16) * rng.normal(size=posts))
    spread = rng.uniform(1.0, 2.5)
    views = np.exp(8 + spread * (np.sqrt(author_share) * level[author] + noise)).astype(np.int64)
    rates = np.exp(rng.normal([-2.5, -5, -5.5, -4.5], 0.6, (posts, 4)) + 0.3 * rng.normal(size=(posts, 1)))
    counts = [views, *rng.poisson(views[:, None] * rates).T]
    # Followers follow the level of the author's views closely, as they do for large accounts.
    followers = np.exp(7 + 1.5 * (0.8 * level + 0.6 * rng.normal(size=len(level))))[author]
    logs = np.log1p(views)
    inputs = np.stack([followers, _earlier_means(logs, author), rng.random(posts) * 24, level[author] > 1.5], axis=1)
    vectors = {"author": inputs.astype(np.float32), "content": content.astype(np.float32)}
    return CleanCorpus(_rows(author, logs, counts), Batch(vectors, np.ones((posts, 2), bool)))


def leak_of(kind: str, corpus: CleanCorpus, seed: int = 0) -> np.ndarray:
    """Values (N,) of a column that says too much."""
    rng = np.random.default_rng(seed)
    counts = {name: corpus.rows[name].to_numpy().astype(float) for name in COUNTS}
    views = counts["views"]
    logs = np.log1p(views)
    reactions = counts["likes"] + counts["comments"] + counts["shares"]
    noise = rng.normal(0, logs.std(), len(views))
    values = {
        "copy": views,
        "log": logs,
        "rank": np.argsort(np.argsort(views)),
        "bins_20": np.digitize(views, np.quantile(views, np.arange(1, 20) / 20)),
        "bins_13": np.digitize(logs, np.linspace(logs.min(), logs.max(), 14)),
        "noise_10": logs + 0.1 * noise,
        "noise_30": logs + 0.3 * noise,
        "replaced_30": np.where(rng.random(len(views)) < 0.3, rng.permutation(logs), logs),
        "engagement_rate": reactions / np.maximum(views, 1),
        "weighted_sum": 0.4 * counts["likes"] + 3 * counts["shares"] + 2 * counts["comments"],
        "weighted_logs": 0.4 * np.log1p(counts["likes"]) + 0.3 * logs + 0.2 * np.log1p(counts["shares"]),
        "label": corpus.rows["is_viral"].to_numpy(zero_copy_only=False),
    }
    return np.asarray(values[kind], np.float32)


def _earlier_means(logs: np.ndarray, author: np.ndarray) -> np.ndarray:
    """Mean log views of the author's earlier posts; the mean of all for the first."""
    means, sums, sizes = np.full(len(logs), logs.mean()), np.zeros(author.max() + 1), np.zeros(author.max() + 1)
    for row, (value, owner) in enumerate(zip(logs, author, strict=True)):
        if sizes[owner]:
            means[row] = sums[owner] / sizes[owner]
        sums[owner] += value
        sizes[owner] += 1
    return means


def _rows(author: np.ndarray, logs: np.ndarray, counts: list[np.ndarray]) -> pa.Table:
    posts = len(author)
    viral = logs > np.quantile(logs, 0.75)
    # By author, as the split of the evidence says.
    splits = np.array(["train", "train", "train", "validation", "test"])[author % 5]
    columns = {
        "post_id": [f"post-{n}" for n in range(posts)],
        "author_id": [f"author-{code}" for code in author],
        "posted_at": [START + timedelta(hours=n) for n in range(posts)],
        "split": splits.tolist(),
        "target": logs,
        "is_viral": viral,
        **dict(zip(COUNTS, counts, strict=True)),
    }
    arrays = [columns.get(field.name, pa.nulls(posts, field.type)) for field in ROWS]
    return pa.table(arrays, names=ROWS.names).cast(ROWS)
