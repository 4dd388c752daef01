"""What is known of a song when it has been read, separated and written, as fields of its result."""

from dataclasses import dataclass
from typing import Any

from stemsplit.audio.reader import AudioReader
from stemsplit.audio.write_report import WriteReport
from stemsplit.dsp.meter import StemMeter
from stemsplit.separation.base_separator import Routed


@dataclass(frozen=True)
class Streamed:
    """What was measured of a song while it was separated, and by whom it was."""

    meter: StemMeter
    chosen: Routed

    def describe(self) -> dict[str, Any]:
        """Return it as fields of a result."""
        masked, expected_db = self.chosen.separator.masked_stems, self.meter.expected_sdr_db()
        route = self.chosen.route
        return {
            "levels_db": self.meter.levels_db(),
            "expected_sdr_db": {s: db if s in masked else None for s, db in expected_db.items()},
            "route": None if route is None else route.to_dict(),
        }


def describe_song(reader: AudioReader, report: WriteReport | None, elapsed_s: float | None) -> dict[str, Any]:
    """Return what reading and writing a song took and gave, as fields of its result.

    Parameters
    ----------
    reader
        Of the song.
    report
        Of its stems; None if none were written.
    elapsed_s
        How long it all took, in seconds; None if nothing was separated.
    """
    info = reader.info
    n_samples = info.n_samples if report is None else report.n_samples
    duration_s = None if n_samples is None else n_samples / info.sample_rate
    known: dict[str, Any] = {
        "sample_rate": info.sample_rate,
        "n_channels": info.n_channels,
        "n_samples": n_samples,
        "duration_s": duration_s,
    }
    if elapsed_s is not None and duration_s is not None:
        known |= {"elapsed_s": elapsed_s, "speed": duration_s / elapsed_s}
    if report is not None:
        known |= {"gain": report.gain, "clipped_samples": report.clipped_samples}
        known |= {"note": "; ".join((*reader.notes, *report.notes)) or None}
    return known
