"""Parts of the backfill job."""
