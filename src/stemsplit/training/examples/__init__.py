"""Training examples: sampling songs, mixing them, augmenting stems."""
