"""Evaluation of models: splits, metrics, baselines, report."""
