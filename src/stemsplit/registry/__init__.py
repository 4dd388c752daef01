"""Installed models, where they lie and how they get there: index, download, install."""
