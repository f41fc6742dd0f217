"""Drift of a model on later posts."""
