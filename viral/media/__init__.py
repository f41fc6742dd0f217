"""Decoding of video and audio files: requests, sampling plans, decoders and the sandbox."""
