"""Bytes to media: requests, the sampling plan, decoders, the sandbox."""
