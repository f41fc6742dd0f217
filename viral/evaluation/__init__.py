"""How models are judged: splits, metrics, baselines, report."""
