"""Which column of a table is which column of a post: the user's map, checked before anything is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from viral.errors import ConfigError, SourceError
from viral.tables.schemas import POSTS


def resolve(there: Sequence[str], columns: Mapping[str, str] | None, file: str) -> dict[str, str]:
    """Post column → column of the file.

    Args:
        there: the columns that the file has.
        columns: the user's map; None takes the columns of the file that are called like those of a post.
        file: for messages.

    Raises:
        ConfigError: the map names a post column or a column of the file that does not exist, or lacks `post_id`.
        SourceError: there is no map and no column `post_id`, or a column is there twice.
    """
    if columns is None:
        chosen = {name: name for name in POSTS.names if name in there}
        if "post_id" not in chosen:
            raise SourceError(f"{file} has no column 'post_id'; map one to it. It has: {_listed(there)}")
    else:
        chosen = dict(columns)
        _check(chosen, there, file)
    twice = [name for name, times in Counter(there).items() if times > 1 and name in chosen.values()]
    if twice:
        raise SourceError(f"{file} has the column {twice[0]!r} more than once: rename one")
    return chosen


def _check(chosen: Mapping[str, str], there: Sequence[str], file: str) -> None:
    if unknown := [name for name in chosen if name not in POSTS.names]:
        raise ConfigError(f"the column map fills {unknown[0]!r}, which no post has; a post has: {_listed(POSTS.names)}")
    if "post_id" not in chosen:
        raise ConfigError(f"the column map lacks 'post_id'; {file} has: {_listed(there)}")
    if absent := [name for name in chosen.values() if name not in there]:
        raise ConfigError(f"{file} has no column {absent[0]!r}; it has: {_listed(there)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
