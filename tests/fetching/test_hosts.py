"""Allowed hosts, for all spellings of a URL."""

from __future__ import annotations

import pytest

from viral.errors import BadAddressError, ConfigError, HostNotAllowedError
from viral.fetching.hosts import AllowedHosts, not_allowed_error, strip_fragment, url_host

HOSTS = AllowedHosts(["TikTok.com.", "www.tiktok.com", "127.0.0.1", "::1", "intranet", "bücher.example"])


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://tiktok.com/@a/video/1", "tiktok.com"),
        ("https://www.tiktok.com./x", "tiktok.com"),
        ("HTTPS://M.TIKTOK.COM:8443/x?y=//evil.example", "tiktok.com"),
        ("http://127.0.0.1:80/x", "127.0.0.1"),
        ("http://[::1]:8000/x", "::1"),
        ("http://intranet/x", "intranet"),
        ("https://shop.bücher.example/", "xn--bcher-kva.example"),
    ],
)
def test_a_host_and_what_is_below_it(url, site):
    assert HOSTS.site(url) == site


@pytest.mark.parametrize(
    "url",
    [
        "https://nottiktok.com/",
        "https://tiktok.com.evil.example/",
        "https://com/",
        "http://x.intranet/",
        "http://evil.127.0.0.1/",
        "http://127.0.0.2/",
        "http://localhost/",
        "http://2130706433/",
        "https://evil.example/tiktok.com",
        "https://evil.example#@tiktok.com/",
        "https://evil.example\\@tiktok.com/",
    ],
)
def test_others(url):
    with pytest.raises((HostNotAllowedError, BadAddressError)):
        HOSTS.site(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "tiktok.com/x",
            "ftp://tiktok.com/x",
            "file:///etc/passwd",
            "http://",
            "http:///x",
            "data:,x",
            "//tiktok.com",
        ),
        *("https://tiktok.com:port/", "https://me:secret@tiktok.com/", "https://me@tiktok.com/", "ytsearch:x"),
        *("https://tiktok.com/" + "x" * 9000, "http://[::1/", "https://ti\nktok.com/"),
    ],
)
def test_no_address(url):
    with pytest.raises(BadAddressError) as caught:
        HOSTS.site(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["", "https://tiktok.com", "tiktok.com/x", "tiktok.com:80", "*.tiktok.com", "a b", "."]
)
def test_no_host(host):
    with pytest.raises(ConfigError, match="--allow-host"):
        AllowedHosts([host])


def test_what_a_refusal_says():
    message = str(not_allowed_error(["www.tiktok.com"]))
    assert "accept the terms of use" in message
    assert message.endswith("add --allow-host tiktok.com")
    assert "b.example --allow-host" not in str(not_allowed_error([]))


def test_an_address_without_what_no_server_sees():
    assert strip_fragment(" https://a.example/x?y#z \n") == "https://a.example/x?y"
    assert url_host("https://A.example:1/") == "a.example"
