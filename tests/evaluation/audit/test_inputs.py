"""What exists only after posting is findings among the inputs, by its name and by its values."""

from __future__ import annotations

import numpy as np
import pytest

from tests.evaluation.clean_corpora import LEAKS, clean_corpus, leak_of
from tests.evaluation.leaks import AUTHORS, PART, POSTS_EACH, STREAMS, batch, evidence, only, planted, put, table
from viral.datasets.streams import Batch, Stream
from viral.evaluation.audit import AuditSample, audit
from viral.evaluation.audit.association import FALSE_ALARM, LIMIT, lower_bound
from viral.evaluation.audit.inputs import is_count
from viral.tables.schemas import COUNTS


@pytest.mark.parametrize(
    "name",
    [
        *(*COUNTS, "likes_rate", "playCount", "digg_count", "log_views", "vid_nview", "n_likes", "num_shares"),
        *("Views (1 h)", "view_count", "engagement", "stats.collectCount", "comment_rate"),
    ],
)
def test_names_of_counts(name: str) -> None:
    assert is_count(name)


@pytest.mark.parametrize(
    "name",
    [
        *("metadata", "caption", "words", "popularity", "image", "video", "screen", "speech", "craft", "review_text"),
        *("viewpoint", "comment_style", "playfulness", "descriptors", "likeness", "resnet50", "display"),
    ],
)
def test_names_of_other_inputs(name: str) -> None:
    assert not is_count(name)


def test_a_count_by_its_name() -> None:
    inputs = batch()
    counts = Stream("play_count", "metadata", 1)
    wider = Batch({**inputs.vectors, "play_count": np.ones((600, 1), np.float32)}, np.ones((600, 3), bool))
    rows = table()
    changed = evidence(streams=(*STREAMS, counts), sample=AuditSample(rows, wider, rows.select(["author_id"])))
    assert "(play_count, 600 posts: post-0, post-1, post-2, post-3, post-4, …)" in only(changed, "named_count")
    assert audit(changed, early_signal=True) == ()


def test_a_count_by_its_values() -> None:
    views = table()["views"].to_numpy()
    inputs = planted("text", 4, -np.log1p(views))
    findings = audit(evidence(inputs=inputs, fitted=()))
    assert {finding.check for finding in findings} == {"count_value"}
    assert findings[0].columns == ("text[4], correlation above 1.00",)
    assert "views" in findings[0].detail
    assert findings[0].count == 600
    assert audit(evidence(inputs=inputs, fitted=()), early_signal=True) == ()


def test_a_count_that_is_known_of_some_posts_of_which_some_have_the_input() -> None:
    shares = table()["shares"].to_numpy()
    inputs = planted("text", 0, np.sqrt(shares))
    inputs.present[100:300, 0] = False
    inputs.vectors["text"][100:300] = 0
    rows = put(table(), "shares", dict.fromkeys(range(350, 500), None))
    assert "text[0]" in only(evidence(rows, inputs, fitted=()), "count_value")


def test_what_comes_near_a_count_as_much_as_honest_inputs_do_is_no_leak() -> None:
    views = table()["views"].to_numpy()
    near = np.log1p(views) + np.random.default_rng(5).normal(0, 1.4, 600)
    assert audit(evidence(inputs=planted("text", 0, near), fitted=())) == ()


def test_too_few_posts_or_values_say_nothing() -> None:
    rows, views = table(), table()["views"].to_numpy()
    few = Batch({name: each[:20] for name, each in planted("text", 0, views).vectors.items()}, np.ones((20, 2), bool))
    sample = AuditSample(rows.slice(0, 20), few, rows.slice(0, 20).select(["post_id", "author_id"]))
    assert audit(evidence(rows, sample=sample)) == ()
    rare = views >= np.sort(views)[-5]
    assert audit(evidence(inputs=planted("text", 0, rare), fitted=())) == ()


@pytest.mark.parametrize("kind", LEAKS)
def test_a_leak_in_any_form(kind: str) -> None:
    corpus = clean_corpus(8)
    findings = audit(corpus.evidence(leak_of(kind, corpus)))
    assert {finding.check for finding in findings} == {"count_value"}
    assert findings[0].columns[0].startswith("content[7], correlation above 0.9") or "1.00" in findings[0].columns[0]
    resembled = {"engagement_rate": "reactions per view", "label": "is_viral", "bins_20": "views"}
    assert f"it resembles {resembled.get(kind, '')}" in findings[0].detail


def test_clean_corpora_pass() -> None:
    """`tests/bench/audit.py` draws a hundred."""
    for seed in (6, 8, 9, 11):
        assert audit(clean_corpus(seed).evidence()) == ()


def test_the_bound_keeps_its_rate_at_the_limit() -> None:
    """Of inputs whose true correlation is the limit, one in a hundred is reported."""
    rng = np.random.default_rng(0)
    views, noise = rng.normal(size=(2, 4000, 200))
    inputs = LIMIT * views + np.sqrt(1 - LIMIT**2) * noise
    reported = [lower_bound(np.corrcoef(*pair)[0, 1], 200) > LIMIT for pair in zip(views, inputs, strict=True)]
    assert np.mean(reported) == pytest.approx(FALSE_ALARM, abs=0.005)


def author_means(mask: np.ndarray) -> np.ndarray:
    """Mean views of the author over the masked posts, per post."""
    views = table()["views"].to_numpy().reshape(AUTHORS, POSTS_EACH)
    mask = mask.reshape(AUTHORS, POSTS_EACH)
    return np.repeat((views * mask).sum(axis=1) / np.maximum(1, mask.sum(axis=1)), POSTS_EACH)


def test_a_statistic_of_all_posts_of_the_author() -> None:
    inputs = planted("text", 2, np.log(author_means(np.ones(600, bool))))
    findings = audit(evidence(inputs=inputs, fitted=()))
    assert {finding.check for finding in findings} == {"author_statistics"}
    assert any("mean views of all posts" in finding.detail for finding in findings)
    assert findings[0].columns[0].startswith("text[2]")


def test_a_statistic_of_earlier_or_of_training_posts_of_the_author_is_none() -> None:
    views = table()["views"].to_numpy().astype(float)
    sums = np.cumsum(views.reshape(AUTHORS, POSTS_EACH), axis=1)
    earlier = np.hstack([np.zeros((AUTHORS, 1)), sums[:, :-1]]) / np.maximum(1, np.arange(POSTS_EACH))
    assert audit(evidence(inputs=planted("text", 2, earlier.ravel()), fitted=())) == ()
    mixed = put(table(), "split", {n: PART[n // POSTS_EACH] for n in range(600)})
    parts = np.where(np.arange(600) % 3 == 0, "test", "train").astype(object)
    mixed = put(mixed, "split", dict(enumerate(parts)))
    inputs = planted("text", 2, author_means(parts == "train"))
    assert audit(evidence(mixed, inputs, kind="random", fitted=(), reference=None)) == ()
    inputs = planted("text", 2, author_means(np.ones(600, bool)))
    assert audit(evidence(mixed, inputs, kind="random", fitted=(), reference=None)) != ()


def test_uses_of_a_sound_after_the_post() -> None:
    rows = put(table(), "sound_id", dict.fromkeys(range(100, 110), "hit"))
    honest = put(rows, "sound_posts_before", {100 + n: float(n) for n in range(10)})
    assert audit(evidence(honest)) == ()
    leaking = put(rows, "sound_posts_before", dict.fromkeys(range(100, 110), 9.0))
    assert "9 posts: post-100, post-101" in only(evidence(leaking), "sound_history")
