"""Where a user's own files lie: models in the data folder of the platform, lists in the one for settings."""

import os
from pathlib import Path
from typing import Final

import platformdirs

MODELS_VARIABLE: Final = "STEMSPLIT_MODELS"


def models_folder(given: Path | str | None = None) -> Path:
    """Return the folder of the registered models: `given`, or ``STEMSPLIT_MODELS``, or the platform's."""
    chosen = given or os.environ.get(MODELS_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return platformdirs.user_data_path("stemsplit", appauthor=False) / "models"


def config_folder() -> Path:
    """Return the folder of the user's lists: of models to fetch, and of presets."""
    return platformdirs.user_config_path("stemsplit", appauthor=False)
