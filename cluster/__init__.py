"""Commands, and the machines that they run on."""
