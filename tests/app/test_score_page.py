"""The page Score in a browser: upload, wait, read the number; equal to the API's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.app.conftest import KEY, OpenPage
from tests.jobs.conftest import Flow
from viral.client import Client

CAPTION = "wait for it #fyp"
CHOOSE = "stFileUploaderDropzoneInput"


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
    assert page.get_by_test_id("stVegaLiteChart").count() >= 3
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
