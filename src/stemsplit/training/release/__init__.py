"""Releasing a run: ONNX export, parity check, model card."""
