"""Topics: clusters of posts by the embeddings of their captions and pictures, named by their words and hashtags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from viral.storage.store import Store
from viral.trends.corpus import Corpus
from viral.trends.kinds import HASHTAG, WORD
from viral.trends.vectors import VectorColumn, Vectors, first_of, vector_columns
from viral.trends.window import SERIES

# Of each kind the first that a root has; whole sentences and whole pictures, not single facts about them.
TEXTS, PICTURES = ("caption", "words"), ("efficientnet_lite0", "resnet50", "vgg16")
_FITTED = 20_000  # posts that the clusters are fitted on; k-means needs some hundreds per cluster
_DIMENSIONS = 32  # per embedding: distances in hundreds of dimensions are all alike
_POSTS_PER_TOPIC = 50  # on average, of the fitted posts
_MOST = 200  # topics: more than anybody reads
_LEAST_POSTS = 40  # a root with fewer has no topics
_TERMS = 3  # of a name
_TERM_AUTHORS = 3  # that use a term in the topic, at least: a name is no single author's

Codes = npt.NDArray[np.int64]

# Terms that are most frequent in a topic compared with all topics: BERTopic's class-based TF-IDF (Grootendorst 2022,
# arXiv 2203.05794), with authors instead of uses. A hashtag and the word that it is are one term.
_NAMES = """
WITH used AS (
    SELECT DISTINCT t.item AS topic, u.item AS term, author
    FROM ({words} UNION ALL {hashtags}) AS u JOIN topic AS t USING (i) JOIN post USING (i)
), counted AS (SELECT topic, term, count(*) AS authors FROM used GROUP BY ALL),
scored AS (
    SELECT topic, term, authors, authors / sum(authors) OVER (PARTITION BY topic)
        * ln(1 + sum(authors) OVER () / count(*) OVER () / sum(authors) OVER (PARTITION BY term)) AS score FROM counted
), best AS (
    SELECT *, row_number() OVER (PARTITION BY topic ORDER BY score DESC, term) AS place FROM scored
    WHERE authors >= {least}
)
SELECT topic, string_agg(term, ' · ' ORDER BY place) AS name FROM best WHERE place <= {terms} GROUP BY topic
"""


def fill_topics(store: Store, corpus: Corpus) -> dict[str, str]:
    """Cluster the posts of the series into the table `topic`; return the names of the topics by key.

    Keys count from the largest topic; another run may number the topics otherwise. Reads the vectors of these posts
    twice, bucket by bucket, and holds `_FITTED` of them. Without embeddings there are no topics.
    """
    columns = vector_columns(store)
    chosen = [column for column in (first_of(columns, TEXTS), first_of(columns, PICTURES)) if column]
    posts = corpus.table(
        f"SELECT i, stored.post_id FROM post JOIN stored USING (i) WHERE window_number < {SERIES} ORDER BY i"  # noqa: S608 - names and numbers of ours
    )
    if not chosen or posts.num_rows < _LEAST_POSTS:
        return {}
    codes = _clusters(chosen, posts["post_id"].combine_chunks())
    clustered = codes >= 0
    rows = {"item": pa.array([f"{code + 1}" for code in codes[clustered]]), "i": posts["i"].filter(pa.array(clustered))}
    corpus.insert("topic", pa.table(rows))
    names = corpus.table(
        _NAMES.format(words=WORD.uses, hashtags=HASHTAG.uses, terms=_TERMS, least=_TERM_AUTHORS)
    ).to_pydict()
    return dict(zip(names["topic"], names["name"], strict=True))


def _clusters(columns: list[VectorColumn], post_ids: pa.Array) -> Codes:
    """Cluster of each post (N,), from 0 for the largest; -1 for a post without any of the vectors."""
    from sklearn.cluster import MiniBatchKMeans

    reductions = [_Reduction.fit(column, post_ids) for column in columns]
    reduced = np.full((len(post_ids), _DIMENSIONS * len(columns)), np.nan, np.float32)
    for number, (column, reduction) in enumerate(zip(columns, reductions, strict=True)):
        into = reduced[:, number * _DIMENSIONS : (number + 1) * _DIMENSIONS]
        for indexes, vectors in column.parts(post_ids):
            into[indexes] = reduction(vectors)
    present = np.isfinite(reduced).any(axis=1)
    # Where a post lacks one of the two, zero is the average.
    rows = np.nan_to_num(reduced[present])
    codes = np.full(len(post_ids), -1)
    if len(rows) < _LEAST_POSTS:
        return codes
    sample = _sample(len(rows))
    count = int(np.clip(len(sample) // _POSTS_PER_TOPIC, 2, _MOST))
    model = MiniBatchKMeans(count, random_state=0, batch_size=4096, n_init=3).fit(rows[sample])
    clusters = model.predict(rows)
    order = np.argsort(-np.bincount(clusters, minlength=count), kind="stable")
    codes[present] = np.argsort(order)[clusters]
    return codes


@dataclass(frozen=True)
class _Reduction:
    """Maps vectors to their first principal components, scaled to one unit of length on average."""

    mean: Vectors
    components: Vectors

    @classmethod
    def fit(cls, column: VectorColumn, post_ids: pa.Array) -> _Reduction:
        """Fit on the vectors of a sample of the posts."""
        from sklearn.decomposition import PCA

        vectors = column.read(post_ids.take(pa.array(_sample(len(post_ids)))))
        unit = _unit(vectors[np.isfinite(vectors[:, 0])])
        if len(unit) < 2:
            return cls(np.zeros(column.spec.dim, np.float32), np.zeros((column.spec.dim, 1), np.float32))
        count = min(_DIMENSIONS, *unit.shape)
        pca = PCA(count, svd_solver="randomized", random_state=0).fit(unit)
        length = np.sqrt(max(float(pca.explained_variance_.sum()), 1e-12))
        return cls(pca.mean_.astype(np.float32), (pca.components_.T / length).astype(np.float32))

    def __call__(self, vectors: Vectors) -> Vectors:
        reduced = np.zeros((len(vectors), _DIMENSIONS), np.float32)
        reduced[:, : self.components.shape[1]] = (_unit(vectors) - self.mean) @ self.components
        return reduced


def _unit(vectors: Vectors) -> Vectors:
    """Vectors of length one, since embeddings are compared by their angle."""
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit


def _sample(count: int) -> Codes:
    """Indexes of at most `_FITTED` of `count` rows, ascending."""
    rng = np.random.default_rng(0)
    sample: Codes = np.sort(rng.permutation(count)[:_FITTED])
    return sample
