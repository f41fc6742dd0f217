"""The scorecard: metrics, plots and the HTML page."""
