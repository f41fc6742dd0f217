"""What a backfill counts, and what it tells its user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from viral.errors import MissingObjectError

StatusCounts = Counter[tuple[str, str | None]]
"""Number of rows by status and reason."""


def sum_counts(counts: Iterable[StatusCounts]) -> StatusCounts:
    """Add up counts."""
    return sum(counts, Counter())


@dataclass
class BackfillSummary:
    """Counts of a backfill: `posts = done_before + ok + partial + failed`.

    `cores` and `gpus` are those that it used; `start_seconds` went by until its first posts were done.
    """

    table: str
    reuses: dict[str, str] = field(default_factory=dict)
    posts: int = 0
    done_before: int = 0
    ok: int = 0
    partial: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    cores: int = 1
    gpus: int = 0
    start_seconds: float = 0.0
    wall_seconds: float = 0.0
    videos_per_second: float = 0.0
    stage_seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def set_counts(self, counts: StatusCounts) -> None:
        """Replace the counts by those of all rounds so far."""
        self.ok = self.partial = self.failed = 0
        self.reasons.clear()
        for (status, reason), count in counts.items():
            setattr(self, status, getattr(self, status) + count)
            if reason:
                self.reasons[reason] = self.reasons.get(reason, 0) + count

    def next_steps(self, before: StatusCounts) -> list[str]:
        """Say what to do about posts without a file, and about those that failed in runs `before` this one."""
        steps = []
        if count := self.reasons.get(MissingObjectError.reason):
            posts = "posts have" if count > 1 else "post has"
            steps.append(
                f"{count} {posts} no video file (missing_object): fetch those with a web address "
                "(viral fetch --posts), correct the paths of others and ingest them again, then run "
                "viral backfill --retry-failed"
            )
        if count := sum(number for (status, _), number in before.items() if status == "failed"):
            posts = "posts failed in earlier runs" if count > 1 else "post failed in an earlier run"
            steps.append(f"{count} {posts}: see viral failures; --retry-failed tries again")
        return steps
