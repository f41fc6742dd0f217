from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest
from pydantic import ValidationError

from tests.evaluation.conftest import ABOUT, SPLIT, make_labels, with_all_sections
from viral.evaluation.bootstrap.by_author import Estimate
from viral.evaluation.evaluate import Details
from viral.evaluation.labels import Labels
from viral.evaluation.report.formatting import number, plain, points, signed
from viral.evaluation.report.glossary import GLOSSARY
from viral.evaluation.report.page import render, verdict_of
from viral.evaluation.report.page_sections import modality_label, target_class
from viral.evaluation.report.report import Example, Report

Judge = Callable[..., Report]
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}</style>\u202egnp.exe\x00\n&lt;'
VOID = {"meta", "img", "br", "path", "use"}


class Page(HTMLParser):
    """Collects what a browser would act on, and checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def hostile(judge: Judge) -> Report:
    labels = make_labels()
    ids = [f"{HOSTILE}{i}" for i in range(120)]
    about = ABOUT.model_copy(
        update={"title": HOSTILE, "corpus": HOSTILE, "limits": (HOSTILE,), "random_weights": (HOSTILE,)}
    )
    shares = {HOSTILE: np.full(120, 0.5)}
    details = Details(contributions=shares, captions=dict.fromkeys(ids, HOSTILE))
    report = judge(labels=Labels(ids, labels.authors, labels.y, labels.is_viral), about=about, details=details)
    return with_all_sections(report, HOSTILE)


def test_nothing_of_a_stranger_reaches_the_browser_as_markup(judge: Judge) -> None:
    text = render(hostile(judge))
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags and "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert any("<script>alert(1)</script>" in data for data in page.text)
    assert any("{{ 7*7 }}" in data for data in page.text)
    assert "\u202e" not in text and "\x00" not in text


def test_the_page_needs_nothing_else(judge: Judge) -> None:
    images = dict.fromkeys(make_labels().post_ids, "data:image/png;base64,AAAA")
    text = render(with_all_sections(judge(details=Details(images=images))))
    page = Page(text)
    assert "script" not in page.tags and "link" not in page.tags
    for name, value in page.attributes:
        if name in ("src", "href", "xlink:href"):
            assert value is not None and value.startswith(("#", "data:image/"))
    # Names of XML vocabularies, never fetched, are the only addresses.
    assert set(re.findall(r"https?://[^\"'\s<)]+", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "@import" not in text and not re.search(r"url\((?!#)", text)


def test_it_says_what_a_newcomer_needs(judge: Judge) -> None:
    text = "".join(Page(render(judge())).text)
    names = set(judge().systems[0].metrics)
    for name, info in GLOSSARY.items():
        if name in names:
            assert info.label in text and info.description in text
    for words in (
        "higher is better",
        "lower is better",
        "the top 30 % by views",
        "small-1a2b",
        "sha256:00",
        "not causation",
    ):
        assert words in text
    assert "hour only is unavailable: the corpus has no posting hour" in " ".join(text.split())
    assert "left out so that nothing leaks" in text


def test_every_section_is_there_and_the_contents_lead_to_it(full_report: Report, judge: Judge) -> None:
    page = Page(render(full_report))
    anchors = {value for name, value in page.attributes if name == "id"}
    links = [value for name, value in page.attributes if name == "href" and value and not value.startswith("#m")]
    assert {link[1:] for link in links} <= anchors
    assert {"#ablation", "#thresholds", "#groups", "#examples", "#card", "#limits"} <= set(links)
    text = " ".join("".join(page.text).split())
    for words in (
        "It is not retrained",
        "get the average of the training posts",
        "0 % of the posts have any of these",
        "the top 10 %",
        "By language",
        "90 posts,",
        "Model card",
        "Not among its inputs: text.",
    ):
        assert words in text
    short = Page(render(judge(resamples=2, baselines={})))
    assert {"#ablation", "#thresholds", "#groups", "#card"}.isdisjoint(value for _, value in short.attributes)


def test_a_group_that_is_off_is_marked() -> None:
    assert target_class(Estimate(0.7, 0.6, 0.8), 0.9) == "worse"
    assert target_class(Estimate(0.85, 0.8, 0.92), 0.9) == target_class(Estimate(0.5), 0.9) == "unclear"
    assert (points(0.123), points(-0.05), points(None)) == ("+12 pp", "-5 pp", "n/a")


def test_sets_of_modalities_in_words() -> None:
    every = ("text", "audio", "editing", "image")
    assert modality_label(("audio", "editing", "image"), every) == ("without text", "audio + editing + image")
    assert modality_label(("text", "audio"), every) == ("text + audio", "")
    assert modality_label(("text",), ("text", "audio")) == ("only text", "")


@pytest.mark.parametrize("kind", ["time_author", "time", "author", "sound", "random"])
def test_every_split_is_explained(judge: Judge, kind: str) -> None:
    text = render(judge(split=SPLIT.model_copy(update={"kind": kind}), resamples=2, baselines={}))
    assert "Tested on" in text


def test_warnings_of_synthetic_posts_and_random_weights(judge: Judge) -> None:
    assert "Synthetic posts" not in render(judge())
    about = ABOUT.model_copy(update={"synthetic": True, "random_weights": ("resnet50",)})
    text = render(judge(about=about))
    assert "Synthetic posts" in text and "random weights: resnet50" in text


def test_the_same_report_gives_the_same_bytes(judge: Judge) -> None:
    assert render(judge()) == render(judge())


def test_ids_are_not_repeated_with_another_meaning(judge: Judge) -> None:
    svgs = re.findall(r"<svg.*?</svg>", render(with_all_sections(judge())), flags=re.DOTALL)
    assert len(svgs) == 8
    seen: dict[str, int] = {}
    for index, svg in enumerate(svgs):
        for name in set(re.findall(r'\bid="([^"]+)"', svg)):
            assert seen.setdefault(name, index) == index


def test_json_round_trip(judge: Judge) -> None:
    report = hostile(judge)
    assert Report.model_validate_json(report.to_json()) == report


def test_only_inline_pictures_are_taken() -> None:
    good = {"post_id": "a", "probability": 0.5, "score": 1.0, "actual": 1.0, "is_viral": True}
    Example(**good, image="data:image/jpeg;base64,/9j/4AAQ==")
    for bad in ("http://example.org/a.png", "data:image/svg+xml;base64,AAAA", 'data:image/png;base64,AA" onload="x'):
        with pytest.raises(ValidationError):
            Example(**good, image=bad)


def test_numbers_as_people_write_them() -> None:
    written = [number(v) for v in (None, 0, 0.12345, 0.0012345, 12.345, 123456.7, -0.5)]
    assert written == ["n/a", "0.000", "0.123", "0.0012", "12.3", "123,457", "-0.500"]
    assert (signed(0.5), signed(-0.5), signed(None)) == ("+0.500", "-0.500", "n/a")


def test_text_of_strangers_on_one_line() -> None:
    assert plain("a\u202eb\n\tc") == "a b c"
    assert plain("Giấc mơ 🤷🏻🦢") == "Giấc mơ 🤷🏻🦢"
    assert len(plain("x" * 1000)) == 200


def test_verdicts() -> None:
    assert verdict_of(Estimate(1, 0.5, 2), "higher") == "better"
    assert verdict_of(Estimate(1, 0.5, 2), "lower") == "worse"
    assert verdict_of(Estimate(-1, -2, -0.5), "lower") == "better"
    assert verdict_of(Estimate(1, -0.5, 2), "higher") == "unclear"
    assert verdict_of(Estimate(1), "higher") == "unclear"
    assert verdict_of(Estimate(1, 0.5, 2), "target") == "unclear"


def test_stored_keys_stay_as_earlier_versions_wrote_them(full_report: Report) -> None:
    stored = json.loads(full_report.to_json())
    assert "roc_auc" in stored["systems"][0]["figures"] and "roc_auc" in stored["differences"][0]["figures"]
    assert {"shown", "left", "figures", "differences"} == set(stored["ablation"]["subsets"][0])
    assert "figures" in stored["cuts"][0] and "happened" in stored["groupings"][0]["groups"][0]
    assert set(stored["plots"]["reliability"][0]) == {"predicted", "happened", "posts"}
