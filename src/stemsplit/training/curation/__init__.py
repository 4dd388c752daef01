"""Choosing what may be trained on: activity, passages, screening, pseudo-labels."""
