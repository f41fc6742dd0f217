"""Commands sent to a cluster as Ray jobs."""
