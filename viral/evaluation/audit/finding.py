"""What an audit finds, and how it ends a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from viral.errors import LeakError

_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One leak.

    Attributes:
        check: the name of the check that found it.
        columns: where it is.
        rows: the ids of the first few of the posts, none where it is not in any one post.
        count: of all these posts.
        detail: what is wrong, as a sentence without its end.
        fix: what its user can do.
    """

    check: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    count: int
    detail: str
    fix: str

    @classmethod
    def of(cls, check: str, columns: Sequence[str], rows: Sequence[str], detail: str, fix: str) -> Self:
        """With the first few of all its columns and rows."""
        more = (f"{len(columns) - _NAMED} more",) if len(columns) > _NAMED else ()
        return cls(check, (*columns[:_NAMED], *more), tuple(rows[:_NAMED]), len(rows), detail, fix)

    def __str__(self) -> str:
        posts = ""
        if self.count:
            rest = ", …" if self.count > len(self.rows) else ""
            posts = f", {self.count} post{'s' if self.count > 1 else ''}: {', '.join(self.rows)}{rest}"
        return f"{self.check}: {self.detail} ({', '.join(self.columns)}{posts}); {self.fix}"


def refuse(findings: Sequence[Finding]) -> None:
    """End the run if there are any.

    Raises:
        LeakError: all of them in one line, each with its check, columns, rows and fix.
    """
    if findings:
        raise LeakError("the audit found a leak. " + ". ".join(map(str, findings)))
