"""The logic of the pages, without a browser: what they say when something is missing, down or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from serve.app.setup import AppSpec, configure
from tests.diary.year import simulate
from viral.config import Settings
from viral.diary.report import ENOUGH
from viral.storage.store import Store

SECONDS = 60.0  # limit of one run of a page, on a busy machine


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def opened(name: str, root: Path, **fields: object) -> AppTest:
    """A page, run once."""
    uploads = root.parent / "uploads"
    uploads.mkdir(exist_ok=True)
    configure(AppSpec(str(root), Settings(), uploads, **fields))  # type: ignore[arg-type]
    page = AppTest.from_string(f"from serve.app.pages import {name}\n{name}.page()", default_timeout=SECONDS)
    return page.run()


def said(page: AppTest) -> list[str]:
    assert not page.exception
    return [box.value for box in (*page.error, *page.warning, *page.info)]


@pytest.mark.parametrize(
    ("name", "sentences"),
    [
        ("diary", ["No draft has been kept yet."]),
        ("monitor", ["There are no sightings yet."]),
        ("trends", ["There are no trends yet."]),
        ("runs", ["Nothing was run on this root yet.", "No features were extracted yet", "There is no model yet"]),
    ],
)
def test_an_empty_root_gets_a_sentence_with_the_way_on(name: str, sentences: list[str], root: Path) -> None:
    found = said(opened(name, root))
    assert len(found) == len(sentences)
    assert all(text.startswith(sentence) for text, sentence in zip(found, sentences, strict=True))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"problem": "There is no model to score with yet: train one."}, "There is no model to score with yet"),
        ({"endpoint": "http://127.0.0.1:9"}, "The endpoint does not answer."),
    ],
    ids=["no model", "down"],
)
def test_an_endpoint_that_is_missing_or_down_gets_one_sentence(
    fields: dict[str, str], sentence: str, root: Path
) -> None:
    page = opened("score", root, **fields)
    page.text_area[0].set_value("wait for it #fyp").run()
    page.button[0].click().run()
    (text,) = said(page)
    assert text.startswith(sentence)


def test_an_hour_without_a_day_is_asked_for(root: Path) -> None:
    import datetime

    page = opened("score", root)
    page.time_input[0].set_value(datetime.time(18)).run()
    assert said(page) == ["Choose the day of posting, too: an hour alone has no weekday."]


def test_the_diary_judges_a_year_and_says_nothing_of_five_posts(root: Path) -> None:
    simulate(Store.open(root), 2 * ENOUGH)
    simulate(Store.open(root), 5, "new", seed=4)
    page = opened("diary", root)
    assert not page.exception
    names = [metric.label for metric in page.metric]
    assert names == ["Intervals that held", "Viral posts", "Pairs in the right order"]
    assert 75 <= int(page.metric[0].value.removesuffix(" %")) <= 100
    assert any("it was kept" in text.value for text in page.markdown)
    page.selectbox[0].set_value("new").run()
    assert said(page)[0].startswith(f"Too few to say: 5 of the {ENOUGH} posts")
    assert not page.metric
