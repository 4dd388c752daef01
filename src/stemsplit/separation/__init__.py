"""The separation: settings, model selection, pipelines, recipe and mixer, and the `Separator` over them."""
