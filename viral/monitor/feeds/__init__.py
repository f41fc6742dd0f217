"""Feeds of the watch: one class each, found by name or by the entry points `viral.feeds`."""
