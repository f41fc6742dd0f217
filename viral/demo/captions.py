"""Captions in one of two tones: a surprising mishap, or a calm moment.

Only the described event depends on the tone. Length, punctuation, capitals, hashtags, mentions and the way the viewer
is addressed are drawn independently of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from typing import Any

import numpy as np

_LENGTHS = (55, 130)  # characters without end and hashtags, drawn uniformly: framed events cover this range
_TOLERANCE = 3  # characters from the drawn length: frames within it are equally likely, so that captions vary


@dataclass(frozen=True)
class Topic:
    """Subject of a caption: its hashtags, and the events of each tone."""

    tags: tuple[str, ...]
    calm: tuple[str, ...]
    mishap: tuple[str, ...]


# Sentence templates. They are drawn by position, so reordering the file changes every corpus.
_TEMPLATES: dict[str, Any] = json.loads(files("viral.demo").joinpath("captions.json").read_text(encoding="utf-8"))
TOPICS = {
    name: Topic(**{part: tuple(texts) for part, texts in topic.items()}) for name, topic in _TEMPLATES["topics"].items()
}


def write_caption(rng: np.random.Generator, *, mishap: bool) -> str:
    """Draw a caption; its length, frame and hashtags do not depend on the tone."""
    # The topic, friend and end are drawn whatever the tone: only the event may differ.
    topic = TOPICS[str(rng.choice(list(TOPICS)))]
    event = str(rng.choice(topic.mishap if mishap else topic.calm))
    friend, end = str(rng.choice(_TEMPLATES["friends"])), str(rng.choice(_TEMPLATES["ends"]))
    text = _frame(rng, event, friend, int(rng.integers(*_LENGTHS)))
    tags = rng.permutation(topic.tags)[: int(rng.integers(0, 4))]
    return " ".join([text[0].upper() + text[1:] + end, *(f"#{tag}" for tag in tags)])


def _frame(rng: np.random.Generator, event: str, friend: str, length: int) -> str:
    """Frame an event by an opener and a closer, so that the sentence has about `length` characters."""
    frames = product(_TEMPLATES["openers"], _TEMPLATES["closers"])
    texts: list[str] = [opener + event + closer.format(friend=friend) for opener, closer in frames]
    misses = np.array([abs(len(text) - length) for text in texts])
    # At least the best frame, where none comes near the drawn length.
    near = np.flatnonzero(misses <= max(_TOLERANCE, int(misses.min())))
    return texts[int(rng.choice(near))]
