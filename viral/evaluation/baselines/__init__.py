"""Baselines of a scorecard."""
