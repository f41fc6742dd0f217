"""What rises among the posts of a root, and what viral posts have in common."""
