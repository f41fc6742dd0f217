"""Scraped data to posts: one adapter a file."""
