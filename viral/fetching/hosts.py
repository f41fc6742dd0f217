"""Allowed hosts: the user names each host and thereby accepts its terms of use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import httpx

from viral.errors import BadAddressError, ConfigError, HostNotAllowedError

MAX_URL_LENGTH = 8192  # limit of nginx and Apache for a request line
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class AllowedHosts:
    """Host names with their subdomains. Names without a dot and IP addresses, also private ones, match exactly.

    Args:
        hosts: names or IP addresses, without scheme, port and path.

    Raises:
        ConfigError: an entry is not a host.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        names = {_normalise(host) for host in hosts}
        # A host whose parent is allowed, too, is no site of its own: both share one rate limit.
        self.sites = tuple(sorted(name for name in names if not any(_is_subdomain(name, site) for site in names)))

    def site(self, url: str) -> str:
        """Return the allowed host that `url` belongs to: its site, the unit of rate limits, tasks and counts.

        Raises:
            BadAddressError: it is not an http(s) URL. HostNotAllowedError: its host is not allowed.
        """
        host = url_host(url)
        for site in self.sites:
            if host == site or _is_subdomain(host, site):
                return site
        raise HostNotAllowedError(f"{host} is not allowed; to accept its terms of use, add {_allow_option(host)}")


def not_allowed_error(hosts: Iterable[str]) -> ConfigError:
    """Build the error of a command whose URLs belong to hosts that are not allowed."""
    names = sorted(hosts)
    options = " ".join(_allow_option(name) for name in names)
    return ConfigError(
        f"not allowed: {', '.join(names)}; to accept the terms of use and fetch from there, add {options}"
    )


def url_host(url: str) -> str:
    """Host of an http(s) URL, in lower case and ASCII.

    Raises:
        BadAddressError: it is not an http(s) URL, or contains a user name or password.
    """
    try:
        parsed = httpx.URL(url) if len(url) <= MAX_URL_LENGTH else None
    except (httpx.InvalidURL, ValueError) as error:
        raise BadAddressError(f"{url[:200]!r} is not a URL: {error}") from error
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadAddressError(f"{url[:200]!r} is not an http:// or https:// URL")
    if parsed.userinfo:  # the ledger would store it
        raise BadAddressError(f"a URL of {parsed.host} contains a user name or a password: use --cookies FILE")
    return _ascii_host(parsed)


def strip_fragment(url: str) -> str:
    """The URL without surrounding white space and fragment."""
    return url.strip().partition("#")[0]


def _ascii_host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower().rstrip(".")  # a trailing dot marks a fully qualified name


def _normalise(host: str) -> str:
    try:
        bracketed = f"[{host}]" if _is_ip_address(host) and ":" in host else host  # IPv6 in a URL
        name = _ascii_host(httpx.URL(f"http://{bracketed}/"))
    except (httpx.InvalidURL, ValueError):
        name = ""
    malformed = any(mark in host for mark in "/@?#") or f"{name}:" in host
    if malformed or not (_is_ip_address(name) or _NAME.fullmatch(name)):
        raise ConfigError(f"--allow-host {host!r} is not a host: write tiktok.com, without scheme, port and path")
    return name


def _is_subdomain(host: str, site: str) -> bool:
    return host.endswith(f".{site}") and "." in site and not _is_ip_address(site)  # `com` must not allow all of .com


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _allow_option(host: str) -> str:
    return f"--allow-host {host.removeprefix('www.')}"  # suggest the whole site
