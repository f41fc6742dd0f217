"""The tree of errors matches its drawing; reason codes are distinct and documented."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from viral import errors
from viral.errors import PostError, ViralError, reasons

OF_PARTIAL_ROWS = {"truncated", "damaged", "audio_failed", "audio_missing", "hdr"}
CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, ViralError)]


def drawn() -> dict[str, tuple[str | None, str]]:
    """Parent and description of each class in the module's drawing."""
    classes: dict[str, tuple[str | None, str]] = {}
    parents: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─ ]*)(\w+Error)\s*(.*)$", line):
            depth = len(match[1]) // 4
            parents[depth] = match[2]
            classes[match[2]] = (parents[depth - 1] if depth else None, match[3])
    return classes


def test_the_drawing_is_the_tree() -> None:
    tree = {cls.__name__: None if cls is ViralError else cls.__base__.__name__ for cls in CLASSES}
    assert {name: parent for name, (parent, _) in drawn().items()} == tree


def test_the_drawing_names_the_reason_codes() -> None:
    codes = {cls.__name__: cls.reason for cls in CLASSES if issubclass(cls, PostError) and cls is not PostError}
    assert {name: text for name, (parent, text) in drawn().items() if parent == "PostError"} == codes


def test_reasons_are_distinct_codes_each_with_its_meaning() -> None:
    leaves = PostError.__subclasses__()
    assert len({cls.reason for cls in leaves}) == len(leaves)
    assert set(reasons()) == {cls.reason for cls in leaves} | OF_PARTIAL_ROWS
    for code, meaning in reasons().items():
        assert re.fullmatch(r"[a-z_]+", code)
        assert meaning
        assert "\n" not in meaning


def test_the_readme_gives_each_reason_its_meaning() -> None:
    readme = (Path(__file__).resolve().parent.parent / "jobs" / "README.md").read_text(encoding="utf-8")
    for code, meaning in reasons().items():
        assert f"{code} | {meaning} |" in readme.replace("`", "")


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_travel_between_processes(cls: type[ViralError]) -> None:
    copy = pickle.loads(pickle.dumps(cls("what is wrong, and the fix")))
    assert type(copy) is cls
    assert str(copy) == "what is wrong, and the fix"
