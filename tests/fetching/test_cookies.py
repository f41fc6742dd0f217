"""Cookie files: readable by their owner only, in Netscape's format, never printed."""

from __future__ import annotations

import pytest

from viral.errors import ConfigError
from viral.fetching.cookies import cookie_jar, read_cookies

GOOD = """# Netscape HTTP Cookie File
.a.example\tTRUE\t/\tTRUE\t0\tname\tsecret
#HttpOnly_b.example\tFALSE\t/\tFALSE\t\tn\tv
"""


def test_a_good_file(tmp_path):
    path = tmp_path / "cookies.txt"
    path.write_text(GOOD)
    path.chmod(0o600)
    jar = cookie_jar(read_cookies(path))
    assert sorted((cookie.domain, cookie.name) for cookie in jar) == [(".a.example", "name"), ("b.example", "n")]
    assert len(cookie_jar(None)) == 0


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_can_read(tmp_path, mode):
    path = tmp_path / "cookies.txt"
    path.write_text(GOOD)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_cookies(path)


@pytest.mark.parametrize(
    "text", ['[{"name": "secret"}]', "# Netscape HTTP Cookie File\nsecret secret\n", "name=secret"]
)
def test_no_such_format(tmp_path, capsys, text):
    path = tmp_path / "cookies.txt"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="Netscape") as caught:
        read_cookies(path)
    assert "secret" not in str(caught.value) + "".join(capsys.readouterr())


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot read the cookies"):
        read_cookies(tmp_path / "nothing")
    with pytest.raises(ConfigError):
        read_cookies(tmp_path)
