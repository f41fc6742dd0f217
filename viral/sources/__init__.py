"""Reading of scraped data: a map says where each exporter's values lie; every row becomes a post or a reject."""

from viral.sources.parsed import Findings, ParsedBatch
from viral.sources.reading import read, read_post_files
from viral.sources.settings import ReadSettings
from viral.sources.source_map import YT_DLP, SourceMap, build_map, shipped_maps

__all__ = [
    "YT_DLP",
    "Findings",
    "ParsedBatch",
    "ReadSettings",
    "SourceMap",
    "build_map",
    "read",
    "read_post_files",
    "shipped_maps",
]
