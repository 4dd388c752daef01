"""Bit rates of lossy formats: which of them an encoder has at a sample rate and for a number of channels."""

from stemsplit.audio.encoding import Encoding, written_rate


def limit_bitrate(encoding: Encoding, sample_rate: int, n_channels: int) -> int | None:
    """Return the rate in kbit/s that comes nearest to the one of an encoding; None if that has none.

    Parameters
    ----------
    encoding : Encoding
    sample_rate : int
        In Hz, that of the file.
    n_channels : int
    """
    if encoding.bitrate_kbps is None:
        return None
    least, most = _find_range(encoding.format, sample_rate, n_channels)
    return min(most, max(least, encoding.bitrate_kbps))


def describe_rates(encoding: Encoding, sample_rate: int, n_channels: int) -> tuple[str, ...]:
    """Return notes on sample and bit rates that a format lacks, and on what the file has instead."""
    written_hz = written_rate(encoding, sample_rate)
    kbits = limit_bitrate(encoding, written_hz, n_channels)
    notes = []
    if written_hz != sample_rate:
        notes.append(f"{encoding.format} has no {sample_rate} Hz: resampled to {written_hz} Hz")
    if kbits != encoding.bitrate_kbps:
        notes.append(
            f"{encoding.format} of {written_hz} Hz and {n_channels} channel(s) has no "
            f"{encoding.bitrate_kbps} kbit/s: encoded with {kbits}"
        )
    return tuple(notes)


def find_mp3_range(sample_rate: int) -> tuple[int, int]:
    """Return the lowest and the highest rate of an mp3, by the version of MPEG that its sample rate needs."""
    return (32, 320) if sample_rate >= 32000 else (8, 160) if sample_rate >= 16000 else (8, 64)


def _find_range(format: str, sample_rate: int, n_channels: int) -> tuple[int, int]:
    if format == "mp3":
        return find_mp3_range(sample_rate)
    if format == "opus":
        return 6, 256 * n_channels
    if format == "ogg":
        from stemsplit.audio.vorbis_quality import list_nominal_rates

        rates = list_nominal_rates(sample_rate, n_channels)
        return round(rates[0]), round(rates[-1])
    # of AAC a frame of 1024 samples has 6144 bits a channel at most
    return 8, 6 * sample_rate * n_channels // 1000
