"""System B: classical models of the same feature table, weighed on validation data."""
