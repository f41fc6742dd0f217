"""Addresses of posts, in place of their identifiers."""

from __future__ import annotations


def test_an_address_yields_the_post_and_its_author(read_bytes) -> None:
    addresses = {
        "https://www.tiktok.com/@some.one/video/7106594312292453001?is_copy_url=1": ("7106594312292453001", "some.one"),
        "https://www.tiktok.com/@a/photo/7106594312292453002": ("7106594312292453002", "a"),
        "https://m.tiktok.com/v/7106594312292453003.html": ("7106594312292453003", None),
        "https://www.youtube.com/shorts/lCbFs83cEDU?feature=share": ("lCbFs83cEDU", None),
        "https://www.youtube.com/watch?app=desktop&v=dQw4w9WgXcQ": ("dQw4w9WgXcQ", None),
        "https://youtu.be/dQw4w9WgXcR": ("dQw4w9WgXcR", None),
        "https://www.instagram.com/reel/DTsAYevnp7b/": ("DTsAYevnp7b", None),
        "www.instagram.com/bob/p/DTsAYevnp7c/": ("DTsAYevnp7c", "bob"),
    }
    content = "url\n" + "\n".join([*addresses, "https://vm.tiktok.com/ZMabc/"])
    parsed = read_bytes(None, content)
    posts = parsed.posts.to_pylist()
    assert [(post["post_id"], post["author_id"]) for post in posts] == list(addresses.values())
    assert [post["page_url"] for post in posts] == list(addresses)
    [reject] = parsed.rejects.to_pylist()
    assert "is an address without the identifier of a post" in reject["reason"]
