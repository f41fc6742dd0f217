"""Scoring: the one place where features meet a model."""
