"""Parts of the evaluation jobs."""
