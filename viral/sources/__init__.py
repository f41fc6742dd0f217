"""Scraped data → posts, one adapter a file: every row becomes a post, or a reject that says why not."""

from viral.sources.newest import newest
from viral.sources.parsed import Parsed
from viral.sources.reading import SOURCES, read

__all__ = ["SOURCES", "Parsed", "newest", "read"]
