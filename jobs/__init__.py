"""Batch work on Ray: one job a file, each also a command (`python -m jobs.backfill --help`)."""
