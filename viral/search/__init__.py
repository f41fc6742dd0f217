"""Search: posts by words and by an example."""
