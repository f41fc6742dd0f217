"""Why a score is what it is: what a model has learnt to go together in its data. Associations, not causes."""

ASSOCIATIONS = "These are associations in the model's data, not causes: a change need not bring what it goes with."
"""What every reader of an explanation is told."""
