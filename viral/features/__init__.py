"""Feature extraction: one post through reading, decoding and encoding to a row of a feature table."""
