"""stemsplit: split songs into stems.

Everything public is imported on first use, so that ``import stemsplit`` costs nothing. It sets one variable
of the environment, unless it is set: ``ORT_DISABLE_TELEMETRY``, which onnxruntime reads when it is loaded.

>>> from stemsplit import Separator, separate
"""

import os
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
    from stemsplit.jobs.batch import separate_file
    from stemsplit.separation.separator import Separator

__version__ = "0.2.0"

# onnxruntime keeps a device's number and a queue of events for its maker otherwise; no module of the package
# can load it before this line
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "AudioError",
    "DeviceError",
    "DownloadError",
    "LicenceError",
    "ModelError",
    "OutputError",
    "Separator",
    "SettingsError",
    "StemsplitError",
    "__version__",
    "separate",
    "separate_file",
]

_HOMES = {
    "Separator": "stemsplit.separation.separator",
    "separate": "stemsplit.api",
    "separate_file": "stemsplit.jobs.batch",
    "SettingsError": "stemsplit.errors",
    "StemsplitError": "stemsplit.errors",
    "AudioError": "stemsplit.errors",
    "DeviceError": "stemsplit.errors",
    "ModelError": "stemsplit.errors",
    "OutputError": "stemsplit.errors",
    "DownloadError": "stemsplit.errors",
    "LicenceError": "stemsplit.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'stemsplit' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
