"""One small corpus that the tests of this area share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from viral.demo import CorpusSpec, generate


@pytest.fixture(scope="session")
def small_spec() -> CorpusSpec:
    return CorpusSpec(posts=12, authors=4, seed=3)


@pytest.fixture(scope="session")
def corpus(small_spec: CorpusSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("corpus") / "made", small_spec, workers=2)


@pytest.fixture(scope="session")
def planted(corpus: Path) -> list[dict[str, Any]]:
    posts: list[dict[str, Any]] = json.loads((corpus / "truth.json").read_text())["posts"]
    return posts
