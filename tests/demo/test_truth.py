from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from viral.demo import CorpusSpec, Effects, plan_posts
from viral.demo.truth import readme, truth, variance_shares


def test_the_default_shares_are_those_promised() -> None:
    shares = variance_shares(CorpusSpec())
    assert shares == pytest.approx(dict.fromkeys(shares, 0.2))
    assert set(shares) == {"author", "cut_rate", "opening_loudness", "mishap", "noise"}


def test_the_realised_shares_come_near_the_stated_ones() -> None:
    shares = truth(CorpusSpec(), plan_posts(CorpusSpec()))["variance_shares"]
    assert shares["realised"] == pytest.approx({name: shares["stated"][name] for name in shares["realised"]}, abs=0.08)


def test_every_sum_is_the_sum_of_its_terms(corpus: Path) -> None:
    planted = json.loads((corpus / "truth.json").read_text())
    for post in planted["posts"]:
        assert post["expected_log_views"] == pytest.approx(planted["base_log_views"] + sum(post["terms"].values()))
        content = [value for name, value in post["terms"].items() if name != "author"]
        assert post["content_score"] == pytest.approx(sum(content))


def test_a_trait_gives_its_term(corpus: Path) -> None:
    planted = json.loads((corpus / "truth.json").read_text())
    low, high = planted["uniform_between"]["cut_rate"]
    for post in planted["posts"]:
        z = (post["cut_rate"] - (low + high) / 2) / ((high - low) / np.sqrt(12))
        assert post["terms"]["cut_rate"] == pytest.approx(planted["effects_per_standard_deviation"]["cut_rate"] * z)


def test_the_readme_says_what_is_planted() -> None:
    text = readme(CorpusSpec(posts=33, authors=3, noise=1.4, effects=Effects(mishap=0.25)))
    assert "synthetic" in text
    assert "No real person" in text
    assert "33 clips" in text
    assert "+ 0.25 if its caption describes a mishap" in text
    assert "1.4 x noise" in text
    assert "{" not in text
