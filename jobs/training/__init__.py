"""Parts of the training jobs."""
