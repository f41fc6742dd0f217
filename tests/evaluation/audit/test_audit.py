"""Each leak between the parts, and of what was fitted, is findings where it is planted, and nothing where none is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.evaluation.leaks import START, STREAMS, batch, evidence, fitted_state, only, put, statistics, table
from viral.datasets.streams import Batch
from viral.duplicates.clusters import later_copies, video_clusters
from viral.errors import LeakError
from viral.evaluation.audit import CHECKS, AuditSample, LabelFit, audit, raise_on_leaks
from viral.evaluation.audit.refitting import needs_posts, refit_label
from viral.labels import LabelSpec, fit
from viral.tables.schemas import POSTS


def test_a_clean_run_passes() -> None:
    assert audit(evidence()) == ()
    raise_on_leaks(())
    assert len(CHECKS) == 16


def test_an_author_on_both_sides() -> None:
    rows = put(table(), "author_id", {595: "author-3", 450: None, 596: None})
    assert "(author_id, 1 post: post-595)" in only(evidence(rows, fitted=()), "shared_author")
    for kind in ("random", "time", "sound"):
        assert audit(evidence(rows, fitted=(), kind=kind)) == ()


@pytest.mark.parametrize(("gap", "hours", "leaks"), [(0.0, 1, False), (0.0, -100, True), (2.0, 1, True)])
def test_a_post_that_is_not_newer(gap: float, hours: int, leaks: bool) -> None:
    last = START + timedelta(hours=499)
    rows = put(table(), "posted_at", {599: last + timedelta(hours=hours)})
    findings = audit(evidence(rows, kind="time", gap_days=gap, sounds=None))
    assert [finding.check for finding in findings] == ["time_order"] * leaks
    if gap == 0 and leaks:
        assert findings[0].rows == ("post-599",)
    assert audit(evidence(rows, kind="author", gap_days=gap, sounds=None)) == ()


def test_one_training_post_from_the_future_is_named_itself() -> None:
    rows = put(table(), "posted_at", {7: START + timedelta(hours=2000)})
    assert "(posted_at, 1 post: post-7)" in only(evidence(rows, sounds=None), "time_order")


@pytest.mark.parametrize("kind", ["time_author", "random"])
def test_the_same_video_on_both_sides(kind: str) -> None:
    rows = put(table(), "sha256", {550: f"{3:064x}", 560: f"{450:064x}", 420: f"{5:064x}", 0: None, 599: None})
    assert "(video, 2 posts: post-550, post-560)" in only(evidence(rows, kind=kind), "shared_video")


def test_later_copies_are_those_of_an_earlier_post() -> None:
    rows = put(table(), "sha256", {550: f"{3:064x}", 2: f"{3:064x}", 10: None, 11: None})
    shuffled = rows.take(np.random.default_rng(0).permutation(600))
    assert sorted(
        shuffled.filter(pa.array(later_copies(shuffled, video_clusters(shuffled).codes)))["post_id"].to_pylist()
    ) == [
        "post-3",
        "post-550",
    ]


def test_the_same_sound_on_both_sides() -> None:
    rows = put(table(), "sound_id", {550: "sound-3", 551: "", 4: "", 552: None})
    rows = put(rows, "sound_posts_before", {551: None, 4: None})
    assert "(sound_id, 1 post: post-550)" in only(evidence(rows, kind="sound"), "shared_sound")
    assert audit(evidence(rows)) == ()
    heard = STREAMS[1:]
    sample = AuditSample(rows, Batch({"acoustics": batch().vectors["acoustics"]}, np.ones((600, 1), bool)), rows)
    assert "sound_id" in only(evidence(rows, streams=heard, sample=sample), "shared_sound")
    assert audit(evidence(rows, streams=heard, sample=sample, kind="random")) == ()


def test_a_model_that_had_learnt_from_test_posts_before() -> None:
    earlier = pa.array(["post-1", "post-520", "elsewhere"])
    assert "(post_id, 1 post: post-520)" in only(evidence(earlier_training_posts=earlier), "known_before")


def test_scalers_of_all_posts() -> None:
    rows, inputs = table(), batch()
    leaking = replace(fitted_state(rows, inputs, ("train", "validation", "test")), scores=None)
    fine = fitted_state(rows, inputs)
    of_all = replace(leaking, target=fine.target)
    findings = audit(evidence(fitted=((of_all, statistics(rows, inputs)),)))
    assert [(finding.check, finding.columns) for finding in findings] == [
        ("scalers", ("text",)),
        ("scalers", ("acoustics",)),
    ]
    assert "6 of 6 values in m/1 is not that of the 400 training posts" in findings[0].detail
    assert "2 of 3 values" in findings[1].detail  # the constant is the same in all
    assert audit(evidence(fitted=((of_all, None),))) == ()  # other posts than those that it was trained on


def test_values_that_a_model_leaves_out_are_scaled_by_none() -> None:
    rows, inputs = table(), batch()
    fine = fitted_state(rows, inputs)
    left_out = fine.scales["text"].copy()
    left_out[2] = np.inf
    state = replace(fine, scales={**fine.scales, "text": left_out})
    assert audit(evidence(fitted=((state, statistics(rows, inputs)),))) == ()


def test_the_target_scaled_by_all_posts() -> None:
    rows, inputs = table(), batch()
    target = fitted_state(rows, inputs, ("train", "test")).target
    leaking = replace(fitted_state(rows, inputs), target=target, scores=None)
    assert "over the 400 training posts (target)" in only(
        evidence(fitted=((leaking, statistics(rows, inputs)),)), "target_scale"
    )


def test_a_threshold_of_all_posts() -> None:
    rows = table()
    leaking = fit(LabelSpec("log_views"), rows, np.ones(600, bool)).to_dict()
    assert not needs_posts(leaking)
    assert "threshold is" in only(evidence(label=refit_label(leaking, rows)), "label_constants")


@pytest.mark.parametrize("label", [LabelSpec("correlation_weighted"), LabelSpec("log_views", within=("week",))])
def test_label_constants_of_all_posts(label: LabelSpec) -> None:
    rows = table()
    posts = pa.table({name: rows[name] for name in rows.column_names if name in POSTS.names})
    for train, leaks in ((rows["split"].to_numpy() == "train", False), (np.ones(600, bool), True)):
        fitted = fit(label, posts, train)
        assert needs_posts(fitted.to_dict())
        target = pa.array(fitted.apply(posts).target)
        labels = rows.set_column(rows.column_names.index("target"), "target", target)
        refitted = refit_label(fitted.to_dict(), labels, posts)
        findings = audit(evidence(label=refitted))
        assert [finding.check for finding in findings] == ["label_constants"] * leaks
        changed = posts.set_column(posts.column_names.index("views"), "views", pc.add(posts["views"], 1))
        assert refit_label(fitted.to_dict(), labels, changed) is None


def test_neighbours_of_the_test() -> None:
    rows, inputs = table(), batch()
    leaking = replace(fitted_state(rows, inputs), scores=fitted_state(rows, inputs).scores)
    test = (rows["target"].to_numpy()[[510, 520]] - leaking.target.mean) / leaking.target.scale
    more = replace(leaking, scores=np.concatenate([leaking.scores[:200], test]))
    fitted = ((more, statistics(rows, inputs)),)
    assert "2 posts: post-510, post-520" in only(evidence(fitted=fitted), "neighbour_posts")
    twice = replace(leaking, scores=np.concatenate([leaking.scores, leaking.scores[:1]]))
    assert [finding.check for finding in audit(evidence(fitted=((twice, None),)))] == ["neighbour_posts"]


def test_reference_posts_of_the_validation_part() -> None:
    reference = pa.table({"post_id": ["post-1", "post-401", "unknown"]})
    assert "(post_id, 2 posts: post-401, unknown)" in only(evidence(reference=reference), "reference_posts")


def test_neighbours_from_the_future() -> None:
    moments = [START, START + timedelta(days=1)]
    pairs = {"post_id": ["a", "b", "c"], "posted_at": [moments[1], moments[0], moments[1]]}
    pairs |= {"neighbour_id": ["x", "y", "z"], "neighbour_posted_at": [moments[0], moments[1], moments[1]]}
    message = only(evidence(neighbours=pa.table(pairs)), "future_neighbours")
    assert "(neighbour_posted_at, 2 posts: b, c)" in message


def test_several_findings_are_one_line() -> None:
    rows = put(table(), "author_id", {595: "author-3"})
    findings = audit(
        evidence(put(rows, "sha256", {550: f"{3:064x}"}), label=LabelFit({"threshold": 1.0}, {"threshold": 2.0}))
    )
    assert [finding.check for finding in findings] == ["shared_author", "shared_video", "label_constants"]
    with pytest.raises(LeakError, match=r"shared_author: .*post-595.*shared_video: .*post-550.*label_constants"):
        raise_on_leaks(findings)
