from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from viral.errors import ConfigError, TableError
from viral.evaluation.splits import PARTS, Kind, SplitSpec, assign, author_codes, counts

DAY = 86_400_000_000
KINDS: tuple[Kind, ...] = ("time_author", "time", "author", "sound", "random")


def corpus(posts: int, authors: int, *, seed: int = 0, days: float = 365) -> pa.Table:
    rng = np.random.default_rng(seed)
    # Authors appear one after the other, so that there are always new ones.
    born = np.sort(rng.random(authors)) * 0.95
    who = rng.integers(authors, size=posts)
    when = (born[who] + rng.random(posts) * 0.05) * days * DAY
    return table([f"p{seed}-{i}" for i in range(posts)], [f"a{w}" for w in who], when.astype(np.int64).tolist())


def table(ids: list[str], authors: list[str | None], times: list[int | None]) -> pa.Table:
    """A sound is used by several authors; every seventh post has its own."""
    stamps = pa.array(times, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    sounds = [f"s{number % 300}" if number % 7 else None for number in range(len(ids))]
    columns = {"post_id": ids, "author_id": pa.array(authors, pa.string()), "posted_at": stamps}
    return pa.table({**columns, "sound_id": pa.array(sounds, pa.string())})


def shares(parts: np.ndarray) -> dict[str, float]:
    used = (parts != "unused").sum()
    return {part: (parts == part).sum() / used for part in PARTS[:3]}


@pytest.mark.parametrize("kind", KINDS)
def test_row_order_does_not_matter(kind: Kind) -> None:
    posts = corpus(500, 120)
    shuffled = np.random.default_rng(1).permutation(500)
    spec = SplitSpec(kind, gap_days=3)
    assert (assign(posts, spec)[shuffled] == assign(posts.take(shuffled), spec)).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("posts", "authors"), [(43, 24), (43, 43), (800, 200), (10_000, 4000)])
def test_shares_are_about_those_asked_for(kind: Kind, posts: int, authors: int) -> None:
    got = shares(assign(corpus(posts, authors), SplitSpec(kind)))
    slack = 0.14 if posts < 100 else 0.06
    assert got["test"] == pytest.approx(0.2, abs=slack)
    assert got["validation"] == pytest.approx(0.15, abs=slack)


def test_a_sound_is_on_one_side_and_on_the_same_as_its_row_among_sounds() -> None:
    posts = corpus(12_000, 4000)
    parts = assign(posts, SplitSpec("sound", seed=2))
    sounds = np.array(posts["sound_id"].to_pylist(), object)
    sides = {sound: set(parts[sounds == sound]) for sound in set(sounds) - {None}}
    assert all(len(found) == 1 for found in sides.values())
    assert len({*parts[sounds == None]}) == 3  # noqa: E711 - elementwise
    by_author = assign(posts, SplitSpec("author", seed=2))
    assert any(len(set(by_author[sounds == sound])) > 1 for sound in sides)
    ids = [f"s{number}" for number in range(300)] + [f"new {number}" for number in range(900)]
    alone = table(ids, [None] * 1200, [0] * 1200).set_column(3, "sound_id", pa.array(ids))
    again = assign(alone, SplitSpec("sound", seed=2))
    assert all({part} == sides[sound] for sound, part in zip(ids[:300], again[:300], strict=True) if sound in sides)
    bare = posts.drop_columns("sound_id")
    with pytest.raises(TableError, match="no column sound_id"):
        assign(bare, SplitSpec("sound"))
    with pytest.raises(TableError, match="no post has a sound_id"):
        assign(bare.append_column("sound_id", pa.nulls(posts.num_rows, pa.string())), SplitSpec("sound"))


def test_time_leaves_a_gap_before_each_cut() -> None:
    posts = corpus(2000, 300)
    parts = assign(posts, SplitSpec("time", gap_days=10))
    when = np.asarray(posts["posted_at"].cast(pa.int64()))
    assert when[parts == "test"].min() - when[parts == "validation"].max() >= 10 * DAY
    assert when[parts == "validation"].min() - when[parts == "train"].max() >= 10 * DAY
    assert 0 < (parts == "unused").mean() < 0.15


def test_time_author_tests_only_on_new_authors() -> None:
    posts = corpus(2000, 300)
    parts, authors = assign(posts, SplitSpec("time_author", gap_days=10)), author_codes(posts)
    when = np.asarray(posts["posted_at"].cast(pa.int64()))
    groups = [set(authors[parts == part]) for part in PARTS[:3]]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    cut = when[parts == "test"].min()
    assert not set(authors[when < cut]) & groups[2]
    assert when[parts == "validation"].max() < cut - 10 * DAY + 1


def test_time_keeps_an_instant_together() -> None:
    times = [i // 10 * DAY for i in range(100)]
    posts = table([str(i) for i in range(100)], [str(i) for i in range(100)], times)
    parts = assign(posts, SplitSpec("time"))
    assert all(len(set(parts[i : i + 10])) == 1 for i in range(0, 100, 10))
    assert (parts == "test").sum() == 20


@pytest.mark.parametrize("kind", ["author", "random"])
def test_new_posts_do_not_move_old_ones(kind: Kind) -> None:
    old, new = corpus(6000, 3000), corpus(6000, 3000, seed=2)
    both = pa.concat_tables([old, new])
    assert (assign(old, SplitSpec(kind)) == assign(both, SplitSpec(kind))[:6000]).all()


def test_new_posts_of_few_known_authors_do_not_move_old_ones() -> None:
    old, new = corpus(400, 24), corpus(400, 24, seed=2)
    assert set(old["author_id"].to_pylist()) == set(new["author_id"].to_pylist())
    both = pa.concat_tables([new, old])
    assert (assign(old, SplitSpec("author")) == assign(both, SplitSpec("author"))[400:]).all()


def test_author_keeps_authors_whole_and_seed_changes_them() -> None:
    posts = corpus(3000, 1500)
    authors = author_codes(posts)
    parts = assign(posts, SplitSpec("author"))
    assert sum(count.authors for count in counts(parts, authors)) == len(np.unique(authors))
    assert (parts != assign(posts, SplitSpec("author", seed=1))).any()


def test_a_post_without_author_is_its_own() -> None:
    posts = table(["x", "y", "z", "w"], [None, "", "a", "a"], [1, 2, 3, 4])
    codes = author_codes(posts)
    assert len(set(codes)) == 3
    assert codes[2] == codes[3]
    many = table([str(i) for i in range(2000)], [None] * 2000, [0] * 2000)
    assert shares(assign(many, SplitSpec("author")))["test"] == pytest.approx(0.2, abs=0.04)


def test_author_codes_of_a_chunked_column() -> None:
    one = table(["x"], ["a"], [1])
    assert len(set(author_codes(pa.concat_tables([one, one, table(["y"], [None], [1])])))) == 2


@pytest.mark.parametrize("kind", ["time", "time_author"])
def test_posts_without_time(kind: Kind) -> None:
    posts = table(["x", "y", "z"], ["a", "b", "c"], [1, None, None])
    with pytest.raises(ConfigError, match=r"2 of 3 posts have no posting time"):
        assign(posts, SplitSpec(kind))
    assert set(assign(posts, SplitSpec("author"))) == {"train", "validation", "test"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_posts(kind: Kind, count: int) -> None:
    posts = table(list("xyz")[:count], list("abc")[:count], [1, 2, 3][:count])
    with pytest.raises(TableError):
        assign(posts, SplitSpec(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_three_posts_are_enough(kind: Kind) -> None:
    assert sorted(assign(table(list("xyz"), list("abc"), [1, 2, 3]), SplitSpec(kind))) == [
        "test",
        "train",
        "validation",
    ]


def test_a_gap_longer_than_the_corpus() -> None:
    with pytest.raises(TableError, match="smaller gap_days"):
        assign(corpus(500, 100, days=20), SplitSpec("time", gap_days=30))


def test_authors_who_all_post_throughout() -> None:
    times = [i * DAY for i in range(1000)]
    posts = table([str(i) for i in range(1000)], [str(i % 20) for i in range(1000)], times)
    with pytest.raises(TableError, match="few authors are new"):
        assign(posts, SplitSpec("time_author"))


def test_missing_column() -> None:
    with pytest.raises(TableError, match="no column author_id"):
        assign(corpus(10, 5).drop_columns(["author_id"]), SplitSpec("random"))


@pytest.mark.parametrize(
    "bad",
    [{"kind": "weekly"}, {"test": 0}, {"test": 0.9}, {"validation": -1}, {"gap_days": -1}, {"gap_days": float("nan")}],
)
def test_specs_that_cannot_be(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SplitSpec(**bad)


def test_real_posts(shared_data: Path) -> None:
    options = pyarrow.csv.ParseOptions(newlines_in_values=True)
    raw = pyarrow.csv.read_csv(shared_data / "vn_tiktok" / "raw_data.csv", parse_options=options)
    posts = pa.table(
        {
            "post_id": raw["vid_id"].cast(pa.string()),
            "author_id": raw["user_name"],
            "sound_id": raw["music_id"].cast(pa.string()),
            "posted_at": raw["vid_postTime"].cast(pa.timestamp("us")),
        }
    )
    posts = posts.filter(pa.compute.is_valid(posts["posted_at"]))
    for kind in KINDS:
        parts = assign(posts, SplitSpec(kind, gap_days=7))
        assert all((parts == part).sum() > 500 for part in PARTS[:3])
