"""Parts of the study job."""
