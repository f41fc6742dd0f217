"""An alert, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

WORDING = "Possible match, verify"


@dataclass(frozen=True)
class MonitorAlert:
    """One thing to tell. `kind` is `sighting`, or what is wrong with a feed: `failing`, `empty`, `quiet`.

    Attributes:
        alert_id: the same for the same event in every run: receivers can tell a repetition by it.
        title: one line.
        text: the rest.
        rank: the higher, the more urgent: confidence times predicted reach.
        created_at: ISO 8601.
        sighting_id: names the evidence.
        facts: values for machines.
    """

    alert_id: str
    kind: str
    title: str
    text: str
    rank: float
    created_at: str
    sighting_id: str | None = None
    facts: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON types."""
        return asdict(self)


def subject(alerts: Sequence[MonitorAlert]) -> str:
    """One line for several alerts."""
    return alerts[0].title if len(alerts) == 1 else f"{len(alerts)} alerts, first: {alerts[0].title}"


def body(alerts: Sequence[MonitorAlert]) -> str:
    """All alerts as text."""
    return "\n\n".join(f"{alert.title}\n{alert.text}" for alert in alerts)
