"""Which hosts may be asked: only those that the user named, whose terms of use are theirs to honour."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import httpx

from viral.errors import BadAddressError, ConfigError, HostNotAllowedError

LONGEST = 8192  # characters of an address; longer ones are junk, and some servers choke on them
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class Hosts:
    """The allowed hosts, each with its subdomains. A name of one label, or a number, stands for itself alone.

    Loopback and private addresses are hosts like any other.

    Args:
        allowed: names or numbers, without scheme, port and path.

    Raises:
        ConfigError: one of them is no host.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        named = {_normal(host) for host in allowed}
        self.allowed = tuple(sorted(host for host in named if not any(_below(host, other) for other in named)))

    def site(self, url: str) -> str:
        """The allowed host that `url` belongs to: rate, task and counts go by it.

        Raises:
            BadAddressError: no http(s) address. HostNotAllowedError: of a host that is not allowed.
        """
        host = host_of(url)
        for site in self.allowed:
            if host == site or _below(host, site):
                return site
        raise HostNotAllowedError(f"{host} is not allowed: its terms of use are yours to honour; {_switch(host)}")


def refused(hosts: Iterable[str]) -> ConfigError:
    """The error of a command that names hosts which it does not allow."""
    names = sorted(hosts)
    which = f"{', '.join(names)} {'is an outside site' if len(names) == 1 else 'are outside sites'}"
    switches = " ".join(_switch(name) for name in names)
    return ConfigError(f"{which}, whose terms of use are yours to honour: to fetch from there, add {switches}")


def host_of(url: str) -> str:
    """The host of an http(s) address, in lower case and ASCII.

    Raises:
        BadAddressError: no such address, or one with a user name or a password in it.
    """
    try:
        parsed = httpx.URL(url) if len(url) <= LONGEST else None
    except (httpx.InvalidURL, ValueError) as error:
        raise BadAddressError(f"{url[:200]!r} is no address: {error}") from error
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadAddressError(f"{url[:200]!r} is no http:// or https:// address")
    if parsed.userinfo:
        raise BadAddressError(f"an address of {parsed.host} holds a user name or a password: use --cookies FILE")
    return _ascii(parsed)


def plain(url: str) -> str:
    """The address without white space around it and without its fragment, which no server sees."""
    return url.strip().partition("#")[0]


def _ascii(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower().rstrip(".")


def _normal(host: str) -> str:
    try:
        given = f"[{host}]" if _is_number(host) and ":" in host else host
        name = _ascii(httpx.URL(f"http://{given}/"))
    except (httpx.InvalidURL, ValueError):
        name = ""
    if not (_is_number(name) or _NAME.fullmatch(name)) or any(mark in host for mark in "/@?#") or f"{name}:" in host:
        raise ConfigError(f"--allow-host {host!r} is no host: write tiktok.com, without scheme, port and path")
    return name


def _below(host: str, site: str) -> bool:
    return host.endswith(f".{site}") and "." in site and not _is_number(site)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _switch(host: str) -> str:
    return f"--allow-host {host.removeprefix('www.')}"
