"""Posts are found by the words of their captions, speech and screens, as these are now."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.search.roots import SET, add_features, add_posts, noted
from viral.errors import StorageError, TableError, UsageError
from viral.search import word_index
from viral.search.searcher import Searcher
from viral.search.snapshots import Snapshots
from viral.search.sources import Files
from viral.search.texts import Texts, TextTables
from viral.search.word_index import PREFIX
from viral.storage.store import Store
from viral.tables.bucketed import BucketedTable
from viral.tables.places import posts_table

POSTS = [
    {"post_id": "cat", "caption": "My cat 小猫视频", "author_id": "ann", "views": 12},
    {
        "post_id": "dog",
        "caption": "dog dog",
        "hashtags": ["funny", "dog"],
        "posted_at": datetime(2024, 5, 1, tzinfo=UTC),
    },
    {"post_id": "talk", "caption": "a dog among many other words", "subtitles": "We say bonjour to everybody"},
    {"post_id": "signs", "caption": None, "sticker_texts": ["Wait for it", "dog"]},
    {"post_id": "nothing"},
]


@pytest.fixture
def store(any_store: Store) -> Store:
    add_posts(any_store, POSTS)
    return any_store


@pytest.fixture
def searcher(store: Store) -> Iterator[Searcher]:
    with Searcher(store) as searcher:
        yield searcher


def ids(searcher: Searcher, query: str, limit: int = 10) -> list[str]:
    return [hit.post_id for hit in searcher.words(query, limit)]


def test_words_are_found_where_they_are(searcher: Searcher) -> None:
    assert ids(searcher, "dog")[0] == "dog"
    assert set(ids(searcher, "DOG")) == {"dog", "talk", "signs"}
    assert ids(searcher, "dog", limit=1) == ["dog"]
    assert ids(searcher, "猫视") == ["cat"]
    assert ids(searcher, "猫小") == []
    assert ids(searcher, "funny") == ["dog"]
    assert ids(searcher, '"for it"') == ["signs"]
    assert ids(searcher, '"it for"') == []
    (hit,) = searcher.words("dog bonjour")
    assert list(hit.snippets) == ["caption", "speech"]
    start, end = hit.snippets["speech"].matches[0]
    assert hit.snippets["speech"].text[start:end] == "bonjour"
    (hit,) = searcher.words("wait")
    assert list(hit.snippets) == ["screen"]
    (hit,) = searcher.words("cat")
    assert (hit.post["author_id"], hit.post["views"]) == ("ann", 12)
    with pytest.raises(UsageError, match="no word"):
        searcher.words("!?")


def test_notes_are_found_and_found_anew(store: Store, searcher: Searcher) -> None:
    assert ids(searcher, "giraffe") == []
    add_features(store, SET, [noted("cat", speech="a giraffe", lines=["BIG SALE"]), noted("talk", speech="not taken")])
    assert ids(searcher, "giraffe") == ["cat"]
    assert list(searcher.words("sale")[0].snippets) == ["screen"]
    assert ids(searcher, "taken") == []  # the platform's subtitles are better
    add_features(store, SET, [noted("cat", speech="an elephant", attempt=1)])
    assert (ids(searcher, "giraffe"), ids(searcher, "elephant")) == ([], ["cat"])


def test_a_changed_caption_and_a_deleted_post_are_noticed(store: Store, searcher: Searcher) -> None:
    assert ids(searcher, "cat") == ["cat"]
    add_posts(store, [{"post_id": "cat", "caption": "now a bird", "scraped_at": datetime(2024, 1, 1, tzinfo=UTC)}])
    assert (ids(searcher, "cat"), ids(searcher, "bird")) == ([], ["cat"])
    posts_table(store).merge(None, 0, 0)
    before = Snapshots(store, PREFIX).current()
    assert ids(searcher, "bird") == ["cat"]
    assert Snapshots(store, PREFIX).current().number == before.number + 1
    assert ids(searcher, "bird") == ["cat"]
    assert Snapshots(store, PREFIX).current().number == before.number + 1
    rest = [post for post in POSTS if post["post_id"] != "cat"]
    store.delete([file.key for file in posts_table(store).files()])
    add_posts(store, rest)
    assert (ids(searcher, "bird"), ids(searcher, "everybody")) == ([], ["talk"])


def test_only_changed_buckets_are_read(store: Store, searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BucketedTable, "log2_buckets", lambda self: 2)
    read, buckets = TextTables.read, list[int]()

    def counted(self: TextTables, files: Files, bits: int, bucket: int) -> dict[str, Texts]:
        buckets.append(bucket)
        return read(self, files, bits, bucket)

    monkeypatch.setattr(TextTables, "read", counted)
    assert len(ids(searcher, "dog")) == 3
    assert buckets == [0, 1, 2, 3]
    add_posts(store, [{"post_id": "new", "caption": "new dog"}], 2)
    assert len(ids(searcher, "dog")) == len(ids(searcher, "dog")) == 4
    assert len(buckets) == 5


def test_a_long_run_continues_where_it_was_killed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BucketedTable, "log2_buckets", lambda self: 2)
    monkeypatch.setattr(word_index, "_CHECKPOINT", 1)
    read, write, written = TextTables.read, word_index._document, list[str]()

    def killed(self: TextTables, files: Files, bits: int, bucket: int) -> dict[str, Texts]:
        if bucket == 3:
            raise KeyboardInterrupt
        return read(self, files, bits, bucket)

    def counted(post_id: str, texts: Texts) -> object:
        written.append(post_id)
        return write(post_id, texts)

    monkeypatch.setattr(word_index, "_document", counted)
    with monkeypatch.context() as patch, Searcher(store) as searcher, pytest.raises(KeyboardInterrupt):
        patch.setattr(TextTables, "read", killed)
        searcher.words("dog")
    assert 0 < len(written) < 4
    with Searcher(store) as searcher:
        assert len(ids(searcher, "dog")) == 3
    assert len(written) == len(set(written)) == 4


def test_a_kill_before_the_snapshot_leaves_the_index_as_it_was(
    store: Store, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ids(searcher, "cat") == ["cat"]
    before = Snapshots(store, PREFIX).current()
    add_posts(store, [{"post_id": "new", "caption": "new cat"}])
    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(Snapshots, "_write", _fail)
        searcher.words("cat")
    assert Snapshots(store, PREFIX).current() == before
    orphans = len(list(store.objects(PREFIX)))
    assert set(ids(searcher, "cat")) == {"cat", "new"}
    after = Snapshots(store, PREFIX).current()
    assert len(list(store.objects(PREFIX))) == len(after.files) + 1 < orphans


def _fail(self: Snapshots, snapshot: object) -> bool:
    raise StorageError("killed")


def test_many_searches_at_once_give_the_same(store: Store) -> None:
    def search(_: int) -> list[str]:
        with Searcher(store) as searcher:
            return ids(searcher, "dog")

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(search, range(4)))
    assert set(found[0]) == {"dog", "signs", "talk"}
    assert found == 4 * found[:1]
    assert Snapshots(store, PREFIX).current().number == 1
    assert list(store.objects("locks")) == []


def test_of_two_that_lost_their_lock_one_wins(store: Store, searcher: Searcher) -> None:
    assert ids(searcher, "cat") == ["cat"]
    snapshots = Snapshots(store, PREFIX)
    before = snapshots.current()
    first = snapshots.commit(before, before.files, {}, {"sources": {}, "posts": 4})
    assert first is not None
    assert snapshots.commit(before, before.files, {}, {"sources": {}}) is None
    assert snapshots.current() == first
    assert ids(searcher, "cat") == ["cat"]


def test_a_damaged_index_is_built_anew(
    store: Store, searcher: Searcher, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ids(searcher, "cat") == ["cat"]
    monkeypatch.setattr("viral.search.snapshots._PAUSE_SECONDS", 0)
    snapshot = Snapshots(store, PREFIX).current()
    store.write(snapshot.files["meta.json"], b"{}")
    with Searcher(store) as other:
        assert ids(other, "cat") == ["cat"]
    assert "building it anew" in capsys.readouterr().err
    assert Snapshots(store, PREFIX).current().number == snapshot.number + 1


def test_an_empty_root_names_the_next_step(any_store: Store) -> None:
    with Searcher(any_store) as searcher, pytest.raises(TableError, match="viral ingest"):
        searcher.words("dog")
