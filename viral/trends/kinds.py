"""What trends are about: sounds, hashtags, words, creators, topics; and in which posts each of them is."""

from __future__ import annotations

from dataclasses import dataclass

from viral.trends.corpus import VIRAL_TOP
from viral.trends.words import WORDS


@dataclass(frozen=True)
class TrendKind:
    """A kind of trend.

    Attributes:
        name: of the kind, as the table `trends` has it.
        title: of its list, for people.
        uses: SELECT of `item` and post `i`: which posts carry which items; an item may come twice.
        total: condition that a row of `post` knows its items; only these posts can carry one.
        counted: what the velocity counts of the posts that carry an item, an expression over `post`.
        unit: what `counted` counts.
        least: smallest count in the newest window; fewer are no trend.
        needs: what a root has to hold for this kind, besides posts.
    """

    name: str
    title: str
    uses: str
    total: str
    counted: str = "author"
    unit: str = "authors"
    least: int = 3  # one author with a second account is no trend
    needs: str = ""


SOUND = TrendKind(
    "sound", "sounds", "SELECT sound_id AS item, i FROM post WHERE sound_id IS NOT NULL", "sound_id IS NOT NULL"
)
HASHTAG = TrendKind(
    "hashtag",
    "hashtags",
    "SELECT unnest(list_distinct(hashtags)) AS item, i FROM post WHERE hashtags IS NOT NULL",
    "hashtags IS NOT NULL",
)
WORD = TrendKind("word", "words", WORDS, "caption IS NOT NULL")
CREATOR = TrendKind(
    "creator",
    "creators",
    f"SELECT s.author_id AS item, i FROM reach JOIN stored AS s USING (i) WHERE reach > {1 - VIRAL_TOP} "  # noqa: S608 - names and numbers of ours
    "AND s.author_id <> ''",
    "views IS NOT NULL",
    counted="clip",
    unit="viral posts",
    least=2,  # one viral post can be luck
)
TOPIC = TrendKind(
    "topic",
    "topics",
    "SELECT item, i FROM topic",
    "i IN (SELECT i FROM topic)",
    needs="embeddings of captions or pictures (viral backfill)",
)
NEW_SOUND = TrendKind(
    "new_sound",
    "new-sounds",
    "SELECT sound_id AS item, i FROM post WHERE sound_id IN (SELECT item FROM predicted)",
    "sound_id IS NOT NULL",
    least=1,  # the model predicts what will become of it
    needs="a sound model that has not learnt from them (viral sounds, viral train sound)",
)
KINDS = (SOUND, HASHTAG, WORD, CREATOR, TOPIC, NEW_SOUND)
