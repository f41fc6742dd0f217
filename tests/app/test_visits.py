"""Visits in a browser: a score as the API's, comparison, changes, bad files, two visitors, the keyboard, phones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.app.conftest import KEY, UPLOAD_MIB, OpenPage
from tests.app.test_pages import opened, said
from tests.jobs.conftest import Flow
from viral.client import Client
from viral.diary.drafts import load_drafts

CAPTION = "wait for it #fyp"
CHOOSE = "stFileUploaderDropzoneInput"


def go(page: Any, name: str, heading: str) -> None:
    """Choose a page from the bar at the top."""
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("heading", name=heading, exact=True).wait_for()


def upload(page: Any, *files: str | Path | dict[str, Any]) -> None:
    page.get_by_test_id(CHOOSE).set_input_files([str(file) if isinstance(file, Path) else file for file in files])
    page.get_by_test_id("stFileChip").nth(len(files) - 1).wait_for()


def press(page: Any, name: str) -> None:
    page.wait_for_timeout(300)  # the widget before it tells the server of its value first
    page.get_by_role("button", name=name, exact=True).click()


def violations(axe: Any, page: Any) -> list[str]:
    """What axe-core finds against WCAG 2.1 AA."""
    tags = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
    found = axe.run(page, options=tags).response["violations"]
    return [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}" for rule in found]


def test_a_draft_is_scored_as_the_api_scores_it(
    app: str, endpoint: str, flow: Flow, clips: list[Path], open_page: OpenPage, axe: Any
) -> None:
    with Client(endpoint, KEY) as client:
        expected = client.score(clips[0], caption=CAPTION, hashtags=["fyp"])
    page = open_page(app)
    upload(page, clips[0])
    page.get_by_label("Caption, with its hashtags").fill(CAPTION)
    page.get_by_label("Caption, with its hashtags").blur()
    press(page, "Score it")
    page.get_by_role("heading", name="Take it with you").wait_for()
    numbers = page.get_by_test_id("stMetricValue").all_inner_texts()
    assert f"{100 * expected.probability:.0f} %" in numbers
    assert f"{expected.percentile:.0f} of 100" in numbers
    assert page.locator("video").evaluate("video => video.duration") > 3
    page.get_by_test_id("stVegaLiteChart").nth(2).wait_for()  # the browser loads what draws them at first use
    for title in ("What each part of the draft adds", "The score of the first seconds alone"):
        page.get_by_text(f"Table: {title[0].lower()}{title[1:]}").click()
    assert page.get_by_role("table").count() >= 3
    assert page.get_by_test_id("stAlertContentError").count() == 0
    with page.expect_download() as card:
        page.get_by_role("button", name="Card (PNG)").click()
    assert Path(card.value.path()).read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as report:
        page.get_by_role("button", name="Report (PDF)").click()
    assert Path(report.value.path()).read_bytes().startswith(b"%PDF")
    assert violations(axe, page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_drafts_are_ranked_and_changed_as_the_api_does_it(
    app: str, endpoint: str, clips: list[Path], open_page: OpenPage, axe: Any
) -> None:
    with Client(endpoint, KEY) as client:
        expected = client.compare([str(clip) for clip in clips[:2]])
        (tried,) = (client.explain(clips[0], changes=["trim_end=1"]).explanation or {})["what_if"]["tried"]
    page = open_page(app, scheme="dark")
    go(page, "Compare", "Compare drafts")
    upload(page, *clips[:2])
    press(page, "Compare them")
    page.get_by_role("heading", name="The ranking").wait_for()
    assert page.get_by_text(f"{Path(expected[0].name).name} comes first").count() == 1
    if expected[0].beats:
        (chance,) = expected[0].beats.values()
        assert page.get_by_text(f"in {100 * chance:.0f} of 100 cases").count() == 1
    assert violations(axe, page) == []
    go(page, "What-if", "What if?")
    upload(page, clips[0])
    press(page, "Score it first")
    cut = page.get_by_label("Cut off the end, in seconds")
    cut.fill("1")
    cut.press("Enter")
    page.get_by_text("Table: the changes so far").click()
    page.get_by_role("cell", name="end 1 s earlier").wait_for()
    row = page.get_by_role("row", name="end 1 s earlier").inner_text()
    assert f"{tried['change']:,.3g}" in row
    for name, heading in (("Trends", "Trends"), ("Search", "Search"), ("Diary", "Diary"), ("Runs", "Runs")):
        go(page, name, heading)
        page.wait_for_function("() => !document.querySelector('[data-testid=stSpinner]')")
        assert page.get_by_test_id("stAlertContentError").count() == 0
        assert violations(axe, page) == []


def test_a_bad_file_and_one_over_the_limit_get_a_sentence(app: str, open_page: OpenPage) -> None:
    page = open_page(app, width=390)
    upload(page, {"name": "holiday.mp4", "mimeType": "video/mp4", "buffer": b"no video at all" * 100})
    press(page, "Score it")
    page.get_by_text(
        "This file is no video that can be read. Export it again as MP4 (H.264), and drop that."
    ).wait_for()
    assert page.get_by_text("Traceback").count() == 0
    page.get_by_role("button", name="Remove holiday.mp4").click()
    large = {"name": "large.mp4", "mimeType": "video/mp4", "buffer": bytes((UPLOAD_MIB << 20) + 1)}
    page.get_by_test_id(CHOOSE).set_input_files([large])
    page.get_by_text(f"File must be {UPLOAD_MIB}").wait_for()
    assert page.get_by_role("button", name="Score it").is_disabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_two_visitors_do_not_see_each_others_videos(
    app: str, flow: Flow, clips: list[Path], open_page: OpenPage
) -> None:
    first, second = open_page(app), open_page(app)
    upload(first, clips[0])
    press(first, "Score it")
    first.get_by_role("heading", name="Take it with you").wait_for()
    video = first.locator("video").get_attribute("src")
    assert second.get_by_test_id("stFileChip").count() == 0
    upload(second, clips[1])
    press(second, "Score it")
    second.get_by_role("heading", name="Take it with you").wait_for()
    assert video not in second.content()
    assert clips[0].name not in second.content()
    first.get_by_text("Keep in the diary").click()
    first.get_by_role("textbox", name="Title").fill("the first visitor's draft")
    press(first, "Keep it")
    first.get_by_text("Its outcome appears on the page Diary").wait_for()
    assert load_drafts(flow.store)["title"].to_pylist()[-1] == "the first visitor's draft"


def test_the_keyboard_reaches_everything(app: str, open_page: OpenPage) -> None:
    page = open_page(app)
    page.get_by_label("Caption, with its hashtags").fill("wait for it")
    page.get_by_label("Caption, with its hashtags").blur()
    page.wait_for_timeout(500)
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("(document.activeElement.innerText || document.activeElement.ariaLabel || '').trim()")
        )
    wanted = {"Score", "Compare", "Runs", "Score it", "Caption, with its hashtags"}
    assert wanted <= {part.strip() for text in reached for part in text.split("\n")}


def test_a_refused_key_gets_one_sentence(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    page = opened("score", tmp_path / "root", endpoint=endpoint, api_key="not the key of this endpoint")
    page.text_area[0].set_value("wait for it").run()
    page.button[0].click().run()
    (text,) = said(page)
    assert text.startswith("The endpoint refuses the key")
