"""Sounds, aggregated from the posts that use them."""
