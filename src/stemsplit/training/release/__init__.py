"""Release of a model: export, the check against torch, the model card."""
