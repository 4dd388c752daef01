"""From songs to files: inputs, name templates, plan, journal, worker, batches, results."""
