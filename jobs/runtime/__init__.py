"""Ray session, bucket-wise work, metrics and command-line options shared by the jobs."""
