"""Parts of the evaluation commands."""
