"""Parts of the fetch job."""
