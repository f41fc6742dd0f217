from __future__ import annotations

import pytest

import viral.sources
from viral.errors import ConfigError


def test_the_sources_are_these():
    assert viral.sources.SOURCES == ("trending_json", "tiktok_api", "yt_dlp", "csv", "parquet")


def test_an_unknown_source_lists_the_known_ones(read_bytes):
    with pytest.raises(ConfigError, match="no source 'excel'; there are: trending_json, "):
        read_bytes("excel", b"")


def test_a_column_map_is_refused_where_it_means_nothing(read_bytes):
    with pytest.raises(ConfigError, match="trending_json has fixed columns"):
        read_bytes("trending_json", b"[]", columns={"post_id": "id"})


def test_a_file_that_is_not_there_says_so(read_file, tmp_path):
    for source in viral.sources.SOURCES:
        with pytest.raises(FileNotFoundError):
            read_file(source, tmp_path / "none")
