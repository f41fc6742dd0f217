"""Profile of a backfill: where its time and its bytes went, by node and stage, and how busy the cores were."""

from __future__ import annotations

import json
import os
import socket
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jobs.backfilling.summary import BackfillSummary
from viral.errors import ConfigError

DECODING = ("read", "decode")
"""Stages of the decoding actors; all others run in the encoding actors."""
_STAT = Path("/proc/stat")  # of the whole machine
_IDLE, _WAITING, _GUEST = 3, 4, 8  # fields of its first line; guests' time is counted among the others already


@dataclass(frozen=True)
class CpuClock:
    """Seconds that the cores of a machine have been busy, of `total` seconds of all of them, since it started."""

    busy: float
    total: float


@dataclass(frozen=True)
class PostReport:
    """What a worker reports of a post that has a row now.

    Attributes:
        decoded_on: node that read and decoded it.
        encoded_on: node that ran its extractors and wrote its row.
        seconds: wall time by stage.
        sizes: bytes read from storage (`read`), of frames and sound (`decode`), and of each vector, by stage.
        clocks: of the cores of the second node, when its worker started and when the row was written.
    """

    decoded_on: str
    encoded_on: str
    seconds: Mapping[str, float]
    sizes: Mapping[str, int]
    clocks: tuple[CpuClock | None, ...] = ()


@cache
def node_name() -> str:
    """Return the address of this node; without Ray, the name of this machine."""
    import ray

    return str(ray.util.get_node_ip_address()) if ray.is_initialized() else socket.gethostname()


def cpu_clock() -> CpuClock | None:
    """Read the clock of this machine's cores; None where there is no such file."""
    try:
        ticks = [int(value) for value in _STAT.read_text().partition("\n")[0].split()[1:]][:_GUEST]
    except (OSError, ValueError):
        return None
    second, idle = os.sysconf("SC_CLK_TCK"), ticks[_IDLE] + ticks[_WAITING]
    return CpuClock((sum(ticks) - idle) / second, sum(ticks) / second)


@dataclass
class _Node:
    posts_decoded: int = 0
    posts_encoded: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sizes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    first: CpuClock | None = None
    last: CpuClock | None = None

    def see(self, clocks: Sequence[CpuClock | None]) -> None:
        """Note clocks, in any order."""
        for clock in filter(None, clocks):
            self.first = min(self.first or clock, clock, key=lambda each: each.total)
            self.last = max(self.last or clock, clock, key=lambda each: each.total)

    def busy_share(self) -> float | None:
        """Share of the cores' time that was busy, from the first clock to the last; None where there are none."""
        if self.first is None or self.last is None or self.last.total <= self.first.total:
            return None
        return (self.last.busy - self.first.busy) / (self.last.total - self.first.total)


class Profile:
    """Collects the reports of a backfill's workers."""

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = defaultdict(_Node)

    def add(self, report: PostReport) -> None:
        """Add the report of a post."""
        decoder, encoder = self._nodes[report.decoded_on], self._nodes[report.encoded_on]
        decoder.posts_decoded += 1
        encoder.posts_encoded += 1
        for stage, seconds in report.seconds.items():
            (decoder if stage in DECODING else encoder).seconds[stage] += seconds
        for stage, size in report.sizes.items():
            (decoder if stage in DECODING else encoder).sizes[stage] += size
        encoder.see(report.clocks)

    def to_dict(self, summary: BackfillSummary) -> dict[str, Any]:
        """Convert it to JSON, with shares of the wall time of the whole run, the start of its workers included.

        A worker decodes one post while it encodes another: the shares of a core can add up to more than one. A node's
        `cores_busy_share` is measured by its kernel while encoders ran on it, and counts all that did.
        """
        wall = max(summary.wall_seconds, 1e-9)  # nothing was pending: no stage took any
        stages = summary.stage_seconds
        encoding = sum(seconds for stage, seconds in stages.items() if stage not in DECODING)
        return {
            "table": summary.table,
            "posts": summary.posts - summary.done_before,
            "wall_seconds": summary.wall_seconds,
            "start_seconds": summary.start_seconds,
            "cores": summary.cores,
            "gpus": summary.gpus,
            "share_of_wall": {stage: seconds / wall / summary.cores for stage, seconds in stages.items()},
            "gpu_share_of_wall": encoding / wall / summary.gpus if summary.gpus else None,
            "nodes": {name: self._node(node) for name, node in sorted(self._nodes.items())},
        }

    def write(self, file: Path, summary: BackfillSummary) -> None:
        """Write it as JSON.

        Raises:
            ConfigError: the file cannot be written.
        """
        try:
            file.write_text(json.dumps(self.to_dict(summary), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write the profile to {file}: {error.strerror}") from error

    def _node(self, node: _Node) -> dict[str, Any]:
        return {
            "posts_decoded": node.posts_decoded,
            "posts_encoded": node.posts_encoded,
            "seconds": dict(node.seconds),
            "bytes": dict(node.sizes),
            "cores_busy_share": node.busy_share(),
        }
