"""Parts of the scoring job."""
