"""The errors that a user can meet.

Every message says what happened, to which file or value, and what to do next.
"""


class StemsplitError(Exception):
    """Base of every error that stemsplit raises on purpose."""


class AudioError(StemsplitError):
    """An input cannot be read as audio: missing, corrupt, empty, truncated, or holding NaN."""


class SettingsError(StemsplitError, ValueError):
    """A setting is out of its range, contradicts another, or names a stem that no model offers."""


class ModelError(StemsplitError):
    """A model file is missing, foreign or corrupt."""


class DeviceError(StemsplitError):
    """The device that was asked for cannot run the model."""


class OutputError(StemsplitError):
    """A stem cannot be named or written: collision, existing file, full or read-only disk."""


class DownloadError(StemsplitError):
    """A model cannot be fetched: no connection, cut off, too large, or another file than was announced."""


class LicenceError(StemsplitError):
    """A model does not allow, or is not known to allow, what it is to be used for."""
