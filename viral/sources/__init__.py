"""Adapters for scraped data, one per file: every row becomes a post, or a reject with a reason."""

from viral.sources.parsed import ParsedBatch
from viral.sources.reading import SOURCES, YT_DLP, read, read_info_files

__all__ = ["SOURCES", "YT_DLP", "ParsedBatch", "read", "read_info_files"]
