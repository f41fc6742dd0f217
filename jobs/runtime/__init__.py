"""Ray session, work per bucket, metrics and command-line options shared by the jobs."""
