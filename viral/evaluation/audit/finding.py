"""A leak found by the audit, and the error that ends a run over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from viral.errors import LeakError

_NAMED = 5  # columns and posts named in a finding: it stays one line


@dataclass(frozen=True)
class Finding:
    """One leak.

    Attributes:
        check: name of the check that found it.
        columns: where it is, the first few.
        rows: ids of the first few posts; empty if it is not in single posts.
        count: number of posts.
        detail: what is wrong, as a sentence without a full stop.
        fix: what the user can do.
    """

    check: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    count: int
    detail: str
    fix: str

    @classmethod
    def truncated(cls, check: str, columns: Sequence[str], rows: Sequence[str], detail: str, fix: str) -> Self:
        """Build a finding that names the first few of all columns and rows."""
        more = (f"{len(columns) - _NAMED} more",) if len(columns) > _NAMED else ()
        return cls(check, (*columns[:_NAMED], *more), tuple(rows[:_NAMED]), len(rows), detail, fix)

    def __str__(self) -> str:
        posts = ""
        # A finding about a column or a constant names no posts.
        if self.count:
            rest = ", …" if self.count > len(self.rows) else ""
            posts = f", {self.count} post{'s' if self.count > 1 else ''}: {', '.join(self.rows)}{rest}"
        return f"{self.check}: {self.detail} ({', '.join(self.columns)}{posts}); {self.fix}"


def raise_on_leaks(findings: Sequence[Finding]) -> None:
    """Raise an error if there are findings.

    Raises:
        LeakError: all findings in one line, each with its check, columns, rows and fix.
    """
    if findings:
        raise LeakError("the audit found a leak. " + ". ".join(map(str, findings)))
