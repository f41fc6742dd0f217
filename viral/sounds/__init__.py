"""Sounds, as derived from the posts that use them."""
