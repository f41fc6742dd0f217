"""Pretrained weights: catalogue, local cache, copies in a root, download and command."""
