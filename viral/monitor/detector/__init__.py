"""Detector of a target in videos: frozen backbone, head on windows of a frame, decision on the video."""
