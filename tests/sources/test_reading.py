"""Reading of files of any exporter."""

from __future__ import annotations

import pytest

from viral.errors import ConfigError, SourceError
from viral.sources import shipped_maps
from viral.sources.opened import FORMATS


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0"])
def test_a_workbook_is_to_be_exported(read_bytes, head):
    with pytest.raises(SourceError, match=r"workbook .*: export it as CSV in UTF-8"):
        read_bytes(None, head + b"\x14\x00\x06\x00", file="report.xlsx")


def test_a_file_that_is_not_there_says_so(read_file, tmp_path):
    for source in (*shipped_maps(), *FORMATS):
        with pytest.raises(FileNotFoundError):
            read_file(source, tmp_path / "none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoding": "latin-99"}, "no encoding 'latin-99'"),
        ({"locale": "xx_YY"}, "no locale 'xx_YY'"),
        ({"zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"dates": "ydm"}, "not 'ydm'"),
    ],
)
def test_settings_that_do_not_exist_are_refused(read_bytes, settings, message):
    with pytest.raises(ConfigError, match=message):
        read_bytes("csv", "post_id\n1\n", **settings)
