"""Training data: the library, its recordings, data sets of one's own, and songs as stored on disk."""
