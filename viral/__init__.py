"""Learns from short videos what makes them spread, and scores new ones. Knows videos, not Ray."""

__version__ = "0.1.0"
