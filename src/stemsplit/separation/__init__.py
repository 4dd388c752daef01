"""The separation itself: settings, pipelines, the mixer, and the `Separator` that runs them."""
