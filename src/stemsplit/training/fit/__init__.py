"""Fitting networks: trainer, optimiser, checkpoints, presets."""
