"""The map that a user gives."""

from __future__ import annotations

import pytest

from jobs.ingesting.source import own_map
from viral.errors import ConfigError


def test_the_map_of_a_file_and_of_the_command_line(tmp_path):
    file = tmp_path / "map.yaml"
    file.write_text("post_id: id\nviews: plays\n")
    assert own_map(["views=n=1", "likes=hearts"], str(file)) == {"post_id": "id", "views": "n=1", "likes": "hearts"}
    assert own_map([], None) == {}


@pytest.mark.parametrize(
    ("pairs", "content", "message"),
    [
        (["views"], None, "--map views is neither a name from --list nor OURS=THEIRS"),
        ([], "- a\n- b\n", "is not a map"),
        ([], "a: [", "cannot read the map"),
        ([], b"\xff\xfe\xfa", "cannot read the map"),
    ],
)
def test_no_map(tmp_path, pairs, content, message):
    file = tmp_path / "map.yaml"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message):
        own_map(pairs, str(file) if content is not None else None)
