"""Datasets: features joined with labels."""
