"""Folders of the user: models in the data folder of the platform, settings in its configuration folder."""

import os
from pathlib import Path
from typing import Final

import platformdirs

MODELS_VARIABLE: Final = "STEMSPLIT_MODELS"


def models_folder(given: Path | str | None = None) -> Path:
    """Return the folder of the user's models: `given`, ``STEMSPLIT_MODELS``, or the platform's default."""
    chosen = given or os.environ.get(MODELS_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_data_path("stemsplit", appauthor=False) / "models"


def config_folder() -> Path:
    """Return the folder of the user's settings, presets and list of models."""
    return platformdirs.user_config_path("stemsplit", appauthor=False)
