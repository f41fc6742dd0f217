from __future__ import annotations

import json
import re
from typing import Any

import pytest

from viral.demo import CorpusSpec, Effects
from viral.errors import ConfigError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"authors": 0}, "at least one author"),
        ({"posts": 10, "authors": 11}, "10 posts cannot be by 11 authors"),
        ({"seconds": (3, 5)}, "both above 3"),
        ({"seconds": (8, 5)}, "(shortest, longest)"),
        ({"size": (321, 180)}, "both even"),
        ({"size": (32, 18)}, "at least 64"),
        ({"fps": 5}, "fps must be at least 10"),
        ({"seed": -1}, "seed must not be negative"),
        ({"noise": -0.1}, "noise is a standard deviation"),
    ],
)
def test_a_spec_that_no_corpus_can_have_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        CorpusSpec(**values)


def test_integers_and_floats_make_the_same_spec() -> None:
    assert CorpusSpec(seconds=(5, 9)).as_dict() == CorpusSpec(seconds=(5.0, 9.0)).as_dict()


def test_a_spec_survives_json() -> None:
    spec = CorpusSpec(posts=7, authors=2, effects=Effects(mishap=0.1))
    assert json.loads(json.dumps(spec.as_dict())) == spec.as_dict()
