"""Ray stages and job shapes of the backfill."""
