"""Which members of an ensemble can learn from given inputs."""

from __future__ import annotations

from collections.abc import Sequence

from viral.datasets.streams import Stream
from viral.models.ensemble.member import MEMBERS
from viral.models.ensemble.simple import followers_stream


def usable_members(streams: Sequence[Stream]) -> tuple[str, ...]:
    """Return the names of the members that can learn from these inputs."""
    needs = {"ngrams": any(stream.sparse for stream in streams), "followers": followers_stream(streams) is not None}
    return tuple(name for name in MEMBERS if needs.get(name, True))
