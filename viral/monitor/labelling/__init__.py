"""Sampling of frames for a person to label: which videos, which of their frames, in which order."""
