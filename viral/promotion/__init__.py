"""Champions: promotion policy, changelog, listing and the command."""
