"""Benchmarks of stemsplit: whole processes, measured from outside. Run ``python -m benchmarks``."""

import stemsplit as stemsplit  # before onnxruntime, whose telemetry it switches off
