"""Machines: this one, and clusters of them."""
