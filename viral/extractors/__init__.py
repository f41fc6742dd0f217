"""Decoded media to vectors: one extractor a file."""
