"""The Ray session, work by bucket, metrics and options that jobs share."""
