"""A test post with the inputs of a learnt one is a finding, or a note where it may be chance."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.evaluation.leaks import STREAMS, evidence, only
from viral.datasets.streams import Stream
from viral.evaluation.audit import audit
from viral.evaluation.audit.equal_inputs import notes

TEXT, SOUND = (stream.name for stream in STREAMS)


def hashes(**changes: dict[int, object]) -> pa.Table:
    """A hash per post and input, all different but for the changes."""
    columns = {name: [f"{name}-{n}" for n in range(600)] for name in (TEXT, SOUND)}
    for name, values in changes.items():
        for row, value in values.items():
            columns[name][row] = value
    return pa.table(columns)


def test_a_post_again_under_another_name() -> None:
    assert audit(evidence(vector_hashes=hashes())) == ()
    twice = hashes(text={550: "text-3", 560: "text-450"}, acoustics={550: "acoustics-3", 560: "acoustics-450"})
    message = only(evidence(vector_hashes=twice), "shared_inputs")
    assert "a test post has the same all inputs as one that was learnt from" in message
    assert "(all inputs, 2 posts: post-550, post-560)" in message


def test_a_few_equal_texts_are_noted_and_many_are_a_leak() -> None:
    few = evidence(vector_hashes=hashes(text={550: "text-3"}))
    assert audit(few) == ()
    [note] = notes(few)
    assert note.startswith("1 test post with the same input text as one that was learnt from (post-550)")
    many = hashes(text={row: f"text-{row - 500}" for row in range(520, 540)})
    assert "(text, 20 posts: post-520, " in only(evidence(vector_hashes=many), "shared_inputs")


def test_a_text_of_many_authors_and_absent_inputs_say_nothing() -> None:
    common = dict.fromkeys((1, 11, 21, *range(500, 600)), "fyp")
    assert audit(evidence(vector_hashes=hashes(text=common))) == ()
    absent = dict.fromkeys(range(0, 600, 2))
    assert audit(evidence(vector_hashes=hashes(text=absent, acoustics=absent))) == ()


@pytest.mark.parametrize("modality", ["image", "video"])
def test_one_equal_picture_is_a_leak(modality: str) -> None:
    pictures = (Stream(TEXT, modality, 6), STREAMS[1])
    assert "(text, 1 post: post-550)" in only(
        evidence(streams=pictures, vector_hashes=hashes(text={550: "text-3"})), "shared_inputs"
    )
