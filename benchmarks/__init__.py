"""Benchmarks of stemsplit: whole processes, measured from outside. Run ``python -m benchmarks``."""
