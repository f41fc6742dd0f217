"""Extractors, one per file: decoded media to feature vectors."""
