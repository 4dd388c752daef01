"""How stems are stored: the format, the sample type, and their limits."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stemsplit.audio.info import AudioInfo
from stemsplit.errors import OutputError

PCM_BITS: Final = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
LOSSY: Final = {"mp3": "MPEG_LAYER_III", "ogg": "VORBIS", "opus": "OPUS", "m4a": "AAC"}
FORMATS: Final = ("wav", "flac", "aiff", "alac", *LOSSY)
# of videos, which keep their picture
VIDEO_FORMATS: Final = {"mp4": "AAC"}
# one file for the mixture and all stems
MULTITRACK_FORMATS: Final = {"stem.mp4": "AAC"}
_AAC_KBITS: Final = (32, 512)
_KBITS: Final = {
    "mp3": (32, 320),
    "ogg": (64, 500),
    "opus": (6, 512),
    "m4a": _AAC_KBITS,
    "mp4": _AAC_KBITS,
    "stem.mp4": _AAC_KBITS,
}

_SUBTYPES: Final = {
    ("wav", "16"): "PCM_16",
    ("wav", "24"): "PCM_24",
    ("wav", "32f"): "FLOAT",
    ("flac", "16"): "PCM_16",
    ("flac", "24"): "PCM_24",
    ("aiff", "16"): "PCM_16",
    ("aiff", "24"): "PCM_24",
    ("aiff", "32f"): "FLOAT",
    ("alac", "16"): "PCM_16",
    ("alac", "24"): "PCM_24",
    ("stem.mp4", "16"): "PCM_16",
    ("stem.mp4", "24"): "PCM_24",
}
_DEEPER_THAN_16: Final = {
    "PCM_24": "PCM_24",
    "PCM_32": "PCM_32",
    "ALAC_20": "PCM_24",
    "ALAC_24": "PCM_24",
    "ALAC_32": "PCM_32",
    "DWVW_24": "PCM_24",
    "FLOAT": "FLOAT",
    "DOUBLE": "FLOAT",
}
_MP3_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES: Final = (8000, 12000, 16000, 24000, 48000)
# fmt: off
_AAC_RATES: Final = (
    7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000
)
# fmt: on


@dataclass(frozen=True)
class Encoding:
    """A file format and the sample type inside it.

    Attributes
    ----------
    format : str
        "wav", "flac", "aiff", "alac", "mp3", "ogg" (Vorbis), "opus", "m4a" (AAC), of a video "mp4", or
        "stem.mp4" (all stems in one file, AAC or, with the subtype of PCM, ALAC).
    subtype : str
        libsndfile's name of the sample type: "PCM_16", "PCM_24", "PCM_32", "FLOAT", "MPEG_LAYER_III", ...
    bitrate_kbps : int or None
        Of a lossy format, in kbit/s for all channels, see `bit_rates`; None for a variable rate that is near
        transparent.
    """

    format: str
    subtype: str
    bitrate_kbps: int | None = None

    @property
    def is_float(self) -> bool:
        """Whether samples beyond full scale survive, so that no gain is ever needed."""
        return self.subtype == "FLOAT"

    @property
    def bits(self) -> int | None:
        """Bits of integer PCM; None for float and lossy encodings."""
        return PCM_BITS.get(self.subtype)

    @property
    def extension(self) -> str:
        """The file name's ending, without the dot."""
        return extension_of(self.format)


def extension_of(format: str) -> str:
    """Return the ending of the names of files of a format, without the dot.

    >>> extension_of("flac"), extension_of("alac")
    ('flac', 'm4a')
    """
    return "m4a" if format == "alac" else format


@dataclass(frozen=True)
class _Limit:
    allows_rate: Callable[[int], bool]
    rates: str
    n_channels: int
    listed_rates: tuple[int, ...] = ()
    fix: str = "wav"


def _list_hz(rates: tuple[int, ...]) -> str:
    return ", ".join(map(str, rates)) + " Hz"


_ALAC_LIMIT: Final = _Limit(lambda rate: 0 < rate <= 384000, "1 to 384000 Hz", 6)
# Vorbis above 192 kHz or with more than 255 channels makes libsndfile 1.2 crash, so these limits come first.
_LIMITS: Final = {
    "wav": _Limit(lambda rate: 0 < rate < 2**32, "any rate", 65535),
    "flac": _Limit(
        lambda rate: 0 < rate <= 655350 and (rate <= 65535 or rate % 10 == 0),
        "1 to 65535 Hz, or multiples of 10 up to 655350 Hz",
        8,
    ),
    "mp3": _Limit(lambda rate: rate in _MP3_RATES, _list_hz(_MP3_RATES), 2, _MP3_RATES),
    "ogg": _Limit(lambda rate: 1000 <= rate <= 192000, "1000 to 192000 Hz", 255, (1000, 192000)),
    "opus": _Limit(
        lambda rate: rate in _OPUS_RATES, ", ".join(map(str, _OPUS_RATES)) + " Hz", 255, _OPUS_RATES
    ),
    "m4a": _Limit(lambda rate: rate in _AAC_RATES, _list_hz(_AAC_RATES), 6, _AAC_RATES),
    "mp4": _Limit(lambda rate: rate in _AAC_RATES, _list_hz(_AAC_RATES), 6, _AAC_RATES),
    "stem.mp4": _Limit(lambda rate: rate in _AAC_RATES, _list_hz(_AAC_RATES), 2, _AAC_RATES),
    "alac": _ALAC_LIMIT,
    "aiff": _Limit(lambda rate: 0 < rate <= 655350, "1 to 655350 Hz", 1024),
}


def choose_encoding(
    format: str, bits: str | None, source: AudioInfo, bitrate_kbps: int | None = None
) -> Encoding:
    """Choose how to store the stems of one song.

    Parameters
    ----------
    format : str
        One of `FORMATS`, of `MULTITRACK_FORMATS` or, for a video, of `VIDEO_FORMATS`.
    bits : str or None
        "16", "24" or "32f" (32-bit float). None keeps the depth of the source where the format can:
        16 bits for lossy and 8-bit sources; float for float sources in wav, 24 bits in flac. "stem.mp4" is
        AAC without them, and ALAC with them.
    source : AudioInfo
        What the song was read from.
    bitrate_kbps : int, optional
        Of a lossy format, in kbit/s.

    Raises
    ------
    OutputError
        The format is unknown, cannot hold ``bits``, or cannot hold the source's rate or channels.

    Examples
    --------
    >>> from stemsplit.audio.info import AudioInfo
    >>> choose_encoding("wav", None, AudioInfo(44100, 2, None, "FLAC", "PCM_24"))
    Encoding(format='wav', subtype='PCM_24', bitrate_kbps=None)
    """
    lossy = LOSSY | VIDEO_FORMATS | MULTITRACK_FORMATS
    known_formats = (*FORMATS, *VIDEO_FORMATS, *MULTITRACK_FORMATS)
    if format not in known_formats:
        known = ", ".join(known_formats)
        raise OutputError(f"format {format!r} is unknown: choose one of {known}")
    if format in VIDEO_FORMATS and source.sound_start_s is None:
        raise OutputError(f"format {format!r} is for videos, and the song has no picture: choose m4a")
    _check_bitrate(format, bitrate_kbps)
    if format in lossy and (bits is None or not depths(format)):
        if bits is not None:
            raise OutputError(
                f"format {format!r} is lossy and has no bits ({bits!r}): drop them, or choose wav or flac"
            )
        encoding = Encoding(format, lossy[format], bitrate_kbps)
    elif bits is None:
        encoding = Encoding(format, _keep_depth(format, source.subtype))
    elif bitrate_kbps is not None:
        raise OutputError(f"--bits makes {format!r} lossless, which has no bit rate: leave one of them out")
    elif (format, bits) in _SUBTYPES:
        encoding = Encoding(format, _SUBTYPES[format, bits])
    else:
        possible = ", ".join(depths(format))
        raise OutputError(f"format {format!r} cannot hold {bits!r} bits: choose one of {possible}")
    check_encoding(encoding, sample_rate=source.sample_rate, n_channels=source.n_channels)
    return encoding


def depths(format: str) -> tuple[str, ...]:
    """Return the bits that a format can be told to hold.

    >>> depths("wav"), depths("mp3"), depths("stem.mp4")
    (('16', '24', '32f'), (), ('16', '24'))
    """
    return tuple(depth for kind, depth in _SUBTYPES if kind == format)


def _check_bitrate(format: str, bitrate_kbps: int | None) -> None:
    if bitrate_kbps is None:
        return
    if format not in _KBITS:
        raise OutputError(f"format {format!r} is lossless and has no bit rate: leave --bitrate out")
    least, most = _KBITS[format]
    if not least <= bitrate_kbps <= most:
        raise OutputError(f"format {format!r} has {least} to {most} kbit/s, not {bitrate_kbps}")


def _keep_depth(format: str, subtype: str) -> str:
    depth = _DEEPER_THAN_16.get(subtype, "PCM_16")
    if format == "aiff" and depth == "PCM_32":
        return "PCM_24"
    if format in ("flac", "alac") and depth in ("FLOAT", "PCM_32"):
        return "PCM_24"
    return depth


def check_encoding(encoding: Encoding, *, sample_rate: int, n_channels: int) -> None:
    """Refuse a sample rate or a channel count that the format cannot hold.

    Lossy formats hold all rates: one that they lack is converted, see `written_rate`.

    Raises
    ------
    OutputError
        With what the format can hold, and the formats that can hold anything.
    """
    limit = _find_limit(encoding)
    if not limit.listed_rates and not limit.allows_rate(sample_rate):
        raise OutputError(
            f"format {encoding.format!r} cannot hold {sample_rate} Hz (it can hold {limit.rates}): "
            "choose wav or flac"
        )
    if not 1 <= n_channels <= limit.n_channels:
        raise OutputError(
            f"format {encoding.format!r} cannot hold {n_channels} channels (at most {limit.n_channels}): "
            f"choose {limit.fix}"
        )


def written_rate(encoding: Encoding, sample_rate: int) -> int:
    """Return the rate in Hz at which a song is stored: its own, or else the next higher one there is.

    >>> opus, stems = Encoding("opus", "OPUS"), Encoding("stem.mp4", "PCM_16")
    >>> written_rate(opus, 44100), written_rate(stems, 192000)
    (48000, 192000)
    """
    limit = _find_limit(encoding)
    if not limit.listed_rates or limit.allows_rate(sample_rate):
        return sample_rate
    return min((rate for rate in limit.listed_rates if rate >= sample_rate), default=max(limit.listed_rates))


def _find_limit(encoding: Encoding) -> _Limit:
    limit = _LIMITS[encoding.format]
    if encoding.format == "stem.mp4" and encoding.bits:
        return replace(_ALAC_LIMIT, n_channels=limit.n_channels)
    if encoding.format == "opus" and encoding.bitrate_kbps:  # by FFmpeg, which has no more
        return replace(limit, n_channels=8, fix="wav, or leave --bitrate out")
    return limit
