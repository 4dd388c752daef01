"""From songs to files: inputs, names, plan, journal, workers, batches, results."""
