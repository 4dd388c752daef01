"""Training data: the library, songs on disk, data sets of the user."""
