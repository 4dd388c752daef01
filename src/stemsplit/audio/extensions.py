"""Which files are audio, told by their names and first bytes."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

# fmt: off
SNDFILE_EXTENSIONS: Final = frozenset(
    (
        "wav", "wave", "bwf", "rf64", "w64", "flac", "mp3", "mp2", "mpga", "ogg", "oga", "opus", "aiff",
        "aif", "aifc", "caf", "au", "snd", "avr", "8svx", "iff", "svx", "paf", "pvf", "sd2", "sds", "sf",
        "ircam", "voc", "nist", "sph", "xi",
    )
)
AV_EXTENSIONS: Final = frozenset(
    (
        "m4a", "m4b", "m4r", "mp4", "m4v", "mov", "3gp", "3g2", "aac", "adts", "alac", "wma", "wmv", "asf",
        "mkv", "mka", "webm", "weba", "avi", "flv", "ac3", "eac3", "dts", "ape", "wv", "tta", "mpc", "amr",
        "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "dsf", "dff", "tak", "ra", "rm",
    )
)
# fmt: on


def is_audio(path: Path) -> bool:
    """Tell by its extension whether a file found in a folder can be read on this machine.

    Examples
    --------
    >>> is_audio(Path("Song.FLAC")), is_audio(Path("cover.jpg"))
    (True, False)
    """
    extension = path.suffix[1:].lower()
    if extension in SNDFILE_EXTENSIONS:
        return True
    return extension in AV_EXTENSIONS and has_pyav()


def has_pyav() -> bool:
    """Tell whether PyAV, the extra ``formats``, is installed; without importing it."""
    return find_spec("av") is not None


def is_av_container(head: bytes) -> bool:
    """Recognise by a file's first 12 bytes, whatever it is called, containers that only PyAV reads."""
    return (
        head[4:8] in (b"ftyp", b"moov")
        or head.startswith((b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"FLV\x01", b"MAC ", b"wvpk", b"TTA1"))
        or head.startswith((b"ADIF", b"\xff\xf1", b"\xff\xf9", b"\x0bw", b"MPCK", b"MP+", b"#!AMR", b"DSD "))
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
    )
