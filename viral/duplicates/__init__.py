"""Copies of a video: perceptual hash, near-duplicates and their clusters."""
