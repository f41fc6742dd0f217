"""Allowed hosts: only those that the user names, who thereby accepts their terms of use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import httpx

from viral.errors import BadAddressError, ConfigError, HostNotAllowedError

MAX_URL_LENGTH = 8192  # common limit of servers for a request line (nginx, Apache); longer ones are junk
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class AllowedHosts:
    """Host names with their subdomains; single-label names and IP addresses match exactly.

    Loopback and private addresses are treated like any other.

    Args:
        hosts: names or IP addresses, without scheme, port and path.

    Raises:
        ConfigError: an entry is no host.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        names = {_normalise(host) for host in hosts}
        self.sites = tuple(sorted(name for name in names if not any(_is_subdomain(name, site) for site in names)))

    def site(self, url: str) -> str:
        """The allowed host that `url` belongs to; rates, tasks and counts are per site.

        Raises:
            BadAddressError: no http(s) URL. HostNotAllowedError: its host is not allowed.
        """
        host = url_host(url)
        for site in self.sites:
            if host == site or _is_subdomain(host, site):
                return site
        raise HostNotAllowedError(f"{host} is not allowed: its terms of use are yours to honour; {_allow_option(host)}")


def not_allowed_error(hosts: Iterable[str]) -> ConfigError:
    """Error of a command whose URLs belong to hosts that it does not allow."""
    names = sorted(hosts)
    subject = f"{', '.join(names)} {'is an outside site' if len(names) == 1 else 'are outside sites'}"
    options = " ".join(_allow_option(name) for name in names)
    return ConfigError(f"{subject}, whose terms of use are yours to honour: to fetch from there, add {options}")


def url_host(url: str) -> str:
    """Host of an http(s) URL, in lower case and ASCII.

    Raises:
        BadAddressError: not such a URL, or one with a user name or password.
    """
    try:
        parsed = httpx.URL(url) if len(url) <= MAX_URL_LENGTH else None
    except (httpx.InvalidURL, ValueError) as error:
        raise BadAddressError(f"{url[:200]!r} is no address: {error}") from error
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadAddressError(f"{url[:200]!r} is no http:// or https:// address")
    if parsed.userinfo:  # it would be stored in the ledger
        raise BadAddressError(f"an address of {parsed.host} holds a user name or a password: use --cookies FILE")
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
        raise ConfigError(f"--allow-host {host!r} is no host: write tiktok.com, without scheme, port and path")
    return name


def _is_subdomain(host: str, site: str) -> bool:
    return host.endswith(f".{site}") and "." in site and not _is_ip_address(site)  # "com" must not allow all of .com


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _allow_option(host: str) -> str:
    return f"--allow-host {host.removeprefix('www.')}"  # suggest the site with all its subdomains
