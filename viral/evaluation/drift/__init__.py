"""Drift: the quality of a model on posts newer than its labels."""
