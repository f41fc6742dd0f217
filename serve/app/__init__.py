"""Pages: score, compare, what-if, trends, search, diary, monitor and runs, on the endpoint and the root's tables."""
