"""SQL over the tables of a root."""
