"""Alerts: real mail and webhooks, retried, never twice, at the right hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.monitor.receivers import mail_server, webhook
from viral.config import MonitorSettings
from viral.errors import ConfigError
from viral.monitor.alerts import channels
from viral.monitor.alerts.alert import MonitorAlert
from viral.monitor.alerts.channels import KEY, SIGNATURE, TIMESTAMP, Channel, open_channel, sign
from viral.monitor.alerts.outbox import Outbox, enqueue, forget_old, pending
from viral.monitor.alerts.schedule import Schedule
from viral.storage.store import Store

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECRET = MonitorSettings(webhook_secret="s3cret")


def alert(name: str, rank: float = 1.0) -> MonitorAlert:
    return MonitorAlert(
        name, "sighting", f"Possible match, verify: flag in post {name}", "details", rank, NOW.isoformat()
    )


def opened(text: str, settings: MonitorSettings = SECRET, lines: list[str] | None = None) -> Channel:
    return open_channel(text, settings, (lines if lines is not None else []).append, lambda _: b"\x89PNG")


def test_mail_and_webhook_get_each_alert_once(any_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "_BACKOFF_SECONDS", 0.01)
    log: list[str] = []
    with mail_server() as (mailbox, port), webhook() as hook:
        settings = SECRET.model_copy(update={"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none"})
        receivers = [opened("mailto:desk@example.org", settings), opened(hook.url, settings)]
        outbox = Outbox(any_store, receivers, Schedule(), log.append)
        assert enqueue(any_store, alert("a")) and enqueue(any_store, alert("b", rank=2.0))
        assert not enqueue(any_store, alert("a"))
        mailbox.refused, hook.failures = 1, 2
        # The mail server refuses the first; the webhook accepts it at the third attempt, and does not get it again.
        assert outbox.deliver(NOW) == 1 and [waiting.alert_id for waiting in pending(any_store)] == ["b"]
        assert "the alert waits" in log[0]
        assert outbox.deliver(NOW) == 1 and outbox.deliver(NOW) == 0
        assert [message["Message-ID"] for message in mailbox.messages] == ["<a@viral>", "<b@viral>"]
        assert mailbox.messages[0]["Subject"].startswith("Possible match, verify")
        assert [part.get_content_type() for part in mailbox.messages[0].walk()][1:] == ["text/plain", "image/png"]
        assert [body["alert_id"] for body in hook.accepted] == ["b", "a"], "the most urgent first"
        headers, body = hook.requests[0]
        assert headers[SIGNATURE] == sign("s3cret", headers[TIMESTAMP], body)
        assert [headers[KEY] for headers, _ in hook.requests] == ["b", "b", "b", "a"]
        assert not enqueue(any_store, alert("a")), "what was delivered is not stored again"
        forget_old(any_store, datetime.now(UTC))
        assert not enqueue(any_store, alert("a"))
        forget_old(any_store, NOW + timedelta(days=61))
        assert list(any_store.objects("monitor/delivered")) == []


def test_a_digest_waits_and_is_one_message(folder_store: Store) -> None:
    lines: list[str] = []
    outbox = Outbox(folder_store, [opened("console", lines=lines)], Schedule(timedelta(hours=2)), lines.append)
    for name in "ab":
        enqueue(folder_store, alert(name))
    assert outbox.deliver(NOW + timedelta(hours=1)) == 0 and lines == []
    assert outbox.deliver(NOW + timedelta(hours=2)) == 2 and len(lines) == 1
    assert "in post a" in lines[0] and "in post b" in lines[0]


@pytest.mark.parametrize(("hour", "due"), [(21, True), (22, False), (3, False), (7, True), (12, True)])
def test_quiet_hours_pass_midnight(hour: int, due: bool) -> None:
    schedule = Schedule.parse(None, "22:00-07:00", "Europe/Berlin")
    now = datetime(2026, 11, 30, hour - 1, 30, tzinfo=UTC)  # Berlin is an hour ahead in winter
    assert schedule.is_due([alert("a")], now) == due
    assert Schedule.parse(None, "03:00-05:00", "UTC").is_due([alert("a")], now)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that apprise loads
def test_what_is_wrong_is_said_before_the_watch_begins() -> None:
    for text, message in (
        ("pigeon", "is no channel"),
        ("mailto:a@b.c", "set VIRAL_MONITOR__SMTP_HOST"),
        ("apprise:nothing", "does not know"),
    ):
        with pytest.raises(ConfigError, match=message):
            opened(text)
    with pytest.raises(ConfigError, match="needs a secret"):
        opened("https://example.org/hook", MonitorSettings())
    for options in ((None, "22-7pm", "UTC"), (None, None, "Mars/Base")):
        with pytest.raises(ConfigError):
            Schedule.parse(*options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of modules that apprise loads
def test_apprise_sends_to_a_json_receiver(folder_store: Store) -> None:
    """Its notifier of plain JSON posts to the receiver, which takes no alerts in that form: it is told as a failure."""
    log: list[str] = []
    with webhook() as hook:
        channel = opened(f"apprise:{hook.url.replace('http', 'json', 1)}")
        assert hook.url.removeprefix("http") not in channel.name, "an address may hold a token"
        hook.failures = 1
        outbox = Outbox(folder_store, [channel], Schedule(), log.append)
        enqueue(folder_store, alert("a"))
        assert outbox.deliver(NOW) == 0 and "did not accept" in log[0]
        assert b"Possible match, verify" in hook.requests[0][1]
