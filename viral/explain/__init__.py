"""Why a score is what it is: associations that the model learned from the posts it was given, not causes."""
