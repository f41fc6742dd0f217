"""Explain scores: which inputs a model associates with high scores. Associations in its training data, not causes."""

ASSOCIATIONS = "These are associations in the model's data, not causes: a change need not bring what it goes with."
"""Caveat printed with every explanation."""
