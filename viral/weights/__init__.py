"""Pretrained weights: catalogue, cache, root, download and the command."""
