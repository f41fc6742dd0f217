"""Bootstrap over authors, and the metrics it resamples."""
