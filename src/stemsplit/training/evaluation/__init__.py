"""Judging models: metrics, validation cases, baselines, reports, ablations."""
