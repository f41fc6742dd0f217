"""Adapters for scraped data, one per file: every row becomes a post, or a reject with a reason."""

from viral.sources.parsed import ParsedBatch
from viral.sources.reading import SOURCES, read

__all__ = ["SOURCES", "ParsedBatch", "read"]
