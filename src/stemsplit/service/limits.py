"""What the service takes and keeps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServiceLimits:
    """Limits of the service.

    Parameters
    ----------
    max_bytes
        Of one song.
    keep_s
        Seconds that songs and stems are kept after the end of the song.
    max_waiting
        Songs in the queue.
    sweep_s
        Seconds between two looks at what is to be removed.
    patience_s
        Seconds without a byte after which an upload is given up.
    """

    max_bytes: int = 500_000_000
    keep_s: float = 3600.0
    max_waiting: int = 50
    sweep_s: float = 15.0
    patience_s: float = 60.0
