"""Selection of training data: activity, passages, screening, pseudo-labels."""
