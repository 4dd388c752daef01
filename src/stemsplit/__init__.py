"""stemsplit: split songs into stems.

Functions
    `separate` splits one song into arrays or files, `separate_file` one file with an open separator,
    `sum_stems` adds stems up again, and `replace_drums` plays the drums of a song with other samples.
Classes
    `Separator` opens models once, for many songs and for streams. `Stems` are arrays by name with a sample
    rate, `FileResult` is what became of a file, `ModelInfo` a model in use, and `SeparationSettings` are what
    determines the stems besides the models.
Errors
    `StemsplitError` is the base of `AudioError`, `DeviceError`, `DownloadError`, `LicenceError`,
    `ModelError`, `OutputError` and `SettingsError`.

Everything public is imported on first use, so that ``import stemsplit`` costs nothing. It sets one variable
of the environment, unless it is set: ``ORT_DISABLE_TELEMETRY``, which onnxruntime reads when it is loaded.

>>> from stemsplit import Separator, separate
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemsplit.api import separate
    from stemsplit.errors import (
        AudioError,
        DeviceError,
        DownloadError,
        LicenceError,
        ModelError,
        OutputError,
        SettingsError,
        StemsplitError,
    )
    from stemsplit.jobs.batch import replace_drums, separate_file
    from stemsplit.jobs.result import FileResult
    from stemsplit.models.mask_model import ModelInfo
    from stemsplit.separation.separator import Separator
    from stemsplit.separation.settings import SeparationSettings
    from stemsplit.separation.stems import Stems, sum_stems

__version__ = "0.2.0"

# onnxruntime keeps a device's number and a queue of events for its maker otherwise; no module of the package
# can load it before this line
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "AudioError",
    "DeviceError",
    "DownloadError",
    "FileResult",
    "LicenceError",
    "ModelError",
    "ModelInfo",
    "OutputError",
    "SeparationSettings",
    "Separator",
    "SettingsError",
    "Stems",
    "StemsplitError",
    "__version__",
    "replace_drums",
    "separate",
    "separate_file",
    "sum_stems",
]

_MODULES = {
    "separate": "api",
    "replace_drums": "jobs.batch",
    "separate_file": "jobs.batch",
    "sum_stems": "separation.stems",
    "FileResult": "jobs.result",
    "ModelInfo": "models.mask_model",
    "SeparationSettings": "separation.settings",
    "Separator": "separation.separator",
    "Stems": "separation.stems",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'stemsplit' has no attribute {name!r}")
    return getattr(import_module(f"stemsplit.{_MODULES.get(name, 'errors')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
