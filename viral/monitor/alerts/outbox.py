"""Outbox: alerts in the root that wait for their delivery, so that none is lost and none is sent twice.

An alert is stored before anything else says that its post was handled, and deleted after all channels have it. Each
delivery is marked: what was delivered is neither sent nor stored again. Only a process that is killed between a
delivery and its mark sends again, with the same id, by which receivers can tell.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from viral.errors import ViralError
from viral.monitor.alerts.alert import MonitorAlert
from viral.monitor.alerts.channels import Channel
from viral.monitor.alerts.schedule import Schedule
from viral.monitor.watch.seen import digest
from viral.storage.store import Store, one_line, read_json

_PENDING, _DELIVERED = "monitor/outbox", "monitor/delivered"
_KEPT = timedelta(days=60)  # marks: twice as long as a post is remembered, after which it could alert again


def enqueue(store: Store, alert: MonitorAlert) -> bool:
    """Store an alert unless it was stored or delivered before; return whether it is new."""
    if store.exists(f"{_DELIVERED}/{alert.alert_id}.json"):
        return False
    return store.write_new(f"{_PENDING}/{alert.alert_id}.json", json.dumps(alert.to_dict()).encode())


def pending(store: Store) -> list[MonitorAlert]:
    """Read the alerts that wait, the most urgent first."""
    records = [read_json(store, info.key) for info in store.objects(_PENDING)]
    alerts = [MonitorAlert(**record) for record in records if record]
    return sorted(alerts, key=lambda alert: (-alert.rank, alert.created_at))


class Outbox:
    """Delivers what waits.

    Args:
        store: the root.
        channels: receivers; each gets every alert.
        schedule: when to send.
        log: called with one line per failure.
    """

    def __init__(
        self, store: Store, channels: Sequence[Channel], schedule: Schedule, log: Callable[[str], None]
    ) -> None:
        self._store, self._channels, self._schedule, self._log = store, channels, schedule, log

    def deliver(self, now: datetime) -> int:
        """Send what is due; return the number of alerts that every channel has. Failures stay, for the next time."""
        alerts = pending(self._store)
        if not alerts or not self._schedule.is_due(alerts, now):
            return 0
        groups = [alerts] if self._schedule.digest else [[alert] for alert in alerts]
        return sum(len(group) for group in groups if self._send(group, now))

    def _send(self, alerts: list[MonitorAlert], now: datetime) -> bool:
        complete = True
        for channel in self._channels:
            marks = {alert.alert_id: f"{_DELIVERED}/{alert.alert_id}/{digest(channel.name)}" for alert in alerts}
            waiting = [alert for alert in alerts if not self._store.exists(marks[alert.alert_id])]
            if not waiting:
                continue
            try:
                channel.send(waiting)
            except ViralError as error:
                self._log(f"{channel.name}: {one_line(error)}; the alert waits, and is sent again later")
                complete = False
                continue
            for alert in waiting:
                self._store.write(marks[alert.alert_id], b"")
        if complete:
            for alert in alerts:
                self._store.write(f"{_DELIVERED}/{alert.alert_id}.json", json.dumps({"at": now.isoformat()}).encode())
                self._store.delete([f"{_PENDING}/{alert.alert_id}.json"])
                self._store.delete_below(f"{_DELIVERED}/{alert.alert_id}")
        return complete


def forget_old(store: Store, now: datetime) -> None:
    """Delete the marks of alerts that were delivered long ago."""
    for info in list(store.objects(_DELIVERED)):
        record = read_json(store, info.key) if info.key.endswith(".json") else None
        if record and now - datetime.fromisoformat(record["at"]) > _KEPT:
            store.delete([info.key])
