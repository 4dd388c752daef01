"""The exceptions of stemsplit.

Every message says what happened, to which file or value, and what to do next.
"""


class StemsplitError(Exception):
    """The base class of all exceptions that stemsplit raises on purpose."""


class AudioError(StemsplitError):
    """An input cannot be read as audio: it is missing, corrupt, empty or truncated, or contains NaN."""


class SettingsError(StemsplitError, ValueError):
    """A setting is out of its range, contradicts another one, or names a stem that no model offers."""


class ModelError(StemsplitError):
    """A model file is missing, invalid or corrupt, or its network returned NaN."""


class DeviceError(StemsplitError):
    """The requested device is missing or cannot run the model."""


class OutputError(StemsplitError):
    """A stem cannot be named or written: name collision, existing file, full or read-only disk."""


class DownloadError(StemsplitError):
    """A model cannot be downloaded: no connection, an interrupted transfer, or a wrong size or checksum."""


class LicenceError(StemsplitError):
    """The licence of a model does not permit its use, or is unknown."""
