"""Which videos and pictures lie beside a metadata file."""

from __future__ import annotations

import pytest

from viral.sources.beside import in_order, owner_of


@pytest.mark.parametrize(
    ("media", "owner"),
    [
        ("x/a.mp4", "x/a.json"),
        ("x/a.JPG", "x/a.json"),
        ("x/a_12.jpg", "x/a.json"),
        ("x/a_12.mp4", None),  # a slide that moves: its picture stands for it
        ("x/b_1.jpg", "x/b_1.info.json"),  # before b
        ("x/b_1_2.png", "x/b_1.info.json"),
        ("x/a_12.txt", None),
        ("x/c_1.jpg", None),
        ("y/a.jpg", None),
    ],
)
def test_owner(media: str, owner: str | None) -> None:
    files = {"x/a": "x/a.json", "x/b": "x/b.json", "x/b_1": "x/b_1.info.json"}
    assert owner_of(media, files) == owner


def test_order() -> None:
    names = ["a_10.jpg", "a_9.png", "a.webm", "a.jpg", "a.MP4"]
    assert in_order(names) == ["a.MP4", "a.webm", "a.jpg", "a_9.png", "a_10.jpg"]
