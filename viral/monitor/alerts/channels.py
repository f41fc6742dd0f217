"""Channels of alerts: console, e-mail, webhook, and what apprise supports."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, Protocol

import httpx

from viral.config import MonitorSettings
from viral.errors import ConfigError, ViralError
from viral.monitor.alerts.alert import WORDING, MonitorAlert, body, subject
from viral.storage.store import one_line

_SECONDS = 20.0  # a receiver that takes longer is tried again
_ATTEMPTS, _BACKOFF_SECONDS = 3, 0.5  # then the alert waits for the next round of the watch
SIGNATURE, TIMESTAMP, KEY = "X-Viral-Signature", "X-Viral-Timestamp", "Idempotency-Key"

Picture = Callable[[MonitorAlert], bytes | None]
"""Returns the PNG of the frame with the highest score of an alert, if it has evidence."""


class Channel(Protocol):
    """Receiver of alerts. `name` tells it from others, also after a restart; it holds no secret."""

    name: str

    def send(self, alerts: Sequence[MonitorAlert]) -> None:
        """Send one message about all of them. Raises ViralError if it was not accepted."""


class ConsoleChannel:
    """Prints alerts."""

    name = "console"

    def __init__(self, echo: Callable[[str], Any]) -> None:
        self._echo = echo

    def send(self, alerts: Sequence[MonitorAlert]) -> None:
        """Print them."""
        self._echo(body(alerts))


class MailChannel:
    """Sends e-mail to one address over SMTP, with the best frame of each sighting."""

    def __init__(self, address: str, settings: MonitorSettings, picture: Picture) -> None:
        self.name, self._address, self._settings, self._picture = f"mailto:{address}", address, settings, picture
        if not settings.smtp_host:
            raise ConfigError("mail needs a server: set VIRAL_MONITOR__SMTP_HOST, or monitor.smtp_host in viral.yaml")

    def send(self, alerts: Sequence[MonitorAlert]) -> None:
        """Send one message; its Message-ID is that of its alerts, so that mailboxes can drop a repetition."""
        settings, message = self._settings, EmailMessage()
        message["Subject"], message["To"] = subject(alerts), self._address
        message["From"], message["Date"] = settings.smtp_from or self._address, formatdate()
        message["Message-ID"] = f"<{message_key(alerts)}@viral>"
        message.set_content(body(alerts))
        for alert in alerts:
            if (picture := self._picture(alert)) is not None:
                message.add_attachment(picture, maintype="image", subtype="png", filename=f"{alert.sighting_id}.png")
        try:
            with self._connect() as server:
                if settings.smtp_user:
                    server.login(settings.smtp_user, settings.smtp_password or "")
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise ViralError(f"the mail server {settings.smtp_host} did not accept it: {one_line(error)}") from error

    def _connect(self) -> smtplib.SMTP:
        host, port, tls = self._settings.smtp_host, self._settings.smtp_port, self._settings.smtp_tls
        assert host is not None
        if tls == "ssl":
            return smtplib.SMTP_SSL(host, port, timeout=_SECONDS, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port, timeout=_SECONDS)
        if tls == "starttls":
            server.starttls(context=ssl.create_default_context())
        return server


class WebhookChannel:
    """Posts alerts as JSON, signed with a shared secret over time and body."""

    def __init__(self, url: str, settings: MonitorSettings) -> None:
        self.name, self._url, self._secret = url, url, settings.webhook_secret
        if not self._secret:
            raise ConfigError("a webhook needs a secret that signs its messages: set VIRAL_MONITOR__WEBHOOK_SECRET")

    def send(self, alerts: Sequence[MonitorAlert]) -> None:
        """Post them; a repetition has the same Idempotency-Key."""
        content = json.dumps({"notice": WORDING, "alerts": [alert.to_dict() for alert in alerts]}).encode()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                headers = self._headers(alerts, content)
                answer = httpx.post(self._url, content=content, headers=headers, timeout=_SECONDS)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                if attempt == _ATTEMPTS:
                    raise ViralError(f"the webhook did not accept it: {one_line(error)}") from error
                time.sleep(_BACKOFF_SECONDS * 2 ** (attempt - 1))
            else:
                return

    def _headers(self, alerts: Sequence[MonitorAlert], content: bytes) -> dict[str, str]:
        assert self._secret is not None
        now = str(int(time.time()))
        return {
            "Content-Type": "application/json",
            KEY: message_key(alerts),
            TIMESTAMP: now,
            SIGNATURE: sign(self._secret, now, content),
        }


class AppriseChannel:
    """Sends to whatever apprise supports: Slack, Teams, Telegram, ntfy and others."""

    def __init__(self, url: str) -> None:
        self.name, self._url = f"apprise:{hashlib.sha256(url.encode()).hexdigest()[:16]}", url  # it may hold a token
        try:
            from apprise import Apprise
        except ImportError as error:
            raise ConfigError("this channel needs apprise: pip install 'viral[apprise]'") from error
        if not Apprise().add(url):
            raise ConfigError("apprise does not know this kind of address: see its list of services")

    def send(self, alerts: Sequence[MonitorAlert]) -> None:
        """Send one message."""
        from apprise import Apprise

        receivers = Apprise()
        receivers.add(self._url)
        if not receivers.notify(title=subject(alerts), body=body(alerts)):
            raise ViralError("the service behind apprise did not accept it")


def open_channel(text: str, settings: MonitorSettings, echo: Callable[[str], Any], picture: Picture) -> Channel:
    """Open a channel by `console`, `mailto:ADDRESS`, `https://…` or `apprise:URL`.

    Raises:
        ConfigError: there is no such channel, or a setting is missing.
    """
    kind, _, rest = text.partition(":")
    if kind == "console":
        return ConsoleChannel(echo)
    if kind == "mailto" and "@" in rest:
        return MailChannel(rest, settings, picture)
    if kind in ("http", "https"):
        return WebhookChannel(text, settings)
    if kind == "apprise" and rest:
        return AppriseChannel(rest)
    raise ConfigError(f"{text!r} is no channel: write console, mailto:ADDRESS, https://… or apprise:URL")


def sign(secret: str, timestamp: str, content: bytes) -> str:
    """Signature of a webhook message: HMAC-SHA-256 over the time, a dot and the body."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + content, hashlib.sha256).hexdigest()


def message_key(alerts: Sequence[MonitorAlert]) -> str:
    """Identify a message by its alerts."""
    if len(alerts) == 1:
        return alerts[0].alert_id
    return hashlib.sha256(" ".join(alert.alert_id for alert in alerts).encode()).hexdigest()[:32]
