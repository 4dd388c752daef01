"""The choice of a decoder for a file: by its content first, then by its name, and a second try by the others.

PCM is read by its own decoder (WAV) or libsndfile, coded frames without a container (mp3, mp2, AAC) and Ogg
by decoders that count them, everything else by FFmpeg. A file that one of them knows and calls damaged is not
handed to another.
"""

import stat
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final, TypeAlias

from stemsplit.audio.condition import Condition
from stemsplit.audio.frame_headers import ParseHeader, parse_adts, parse_mpeg
from stemsplit.audio.frame_walk import FrameWalk
from stemsplit.audio.info import Decoder
from stemsplit.audio.wav import format_code, is_linear
from stemsplit.audio.wav_chunks import WavAudio, find_wav_audio, is_wav
from stemsplit.errors import AudioError

_Open: TypeAlias = Callable[[], Decoder]

_FRAME_EXTENSIONS: Final = {
    "mp3": parse_mpeg,
    "mp2": parse_mpeg,
    "mp1": parse_mpeg,
    "mpga": parse_mpeg,
    "aac": parse_adts,
    "adts": parse_adts,
}
_WAV_EXTENSIONS: Final = frozenset({"wav", "wave"})
_FRAME_CONTAINERS: Final = {"MP3": parse_mpeg, "AAC": parse_adts}
_MPEG_IN_WAV: Final = (0x50, 0x55)
# fmt: off
_SNDFILE_MARKS: Final = (
    b"FORM", b"RIFX", b"caff", b".snd", b"dns.", b"riff", b"NIST", b"2BIT", b"PVF1", b" paf", b"fap "
)
# fmt: on
_HEAD_BYTES: Final = 64


def open_decoder(path: Path, condition: Condition, *, track: int | None = None) -> Decoder:
    """Open a file with the decoder that fits it.

    Parameters
    ----------
    path : Path
        A regular file, or a named pipe with WAV in it.
    condition : Condition
        Where damage goes.
    track : int, optional
        Which audio track, counted from 1.

    Raises
    ------
    AudioError
        It is missing, empty, unreadable, damaged, or no decoder knows it.
    """
    if is_pipe(path):
        return _open_pipe(path, condition)
    _check_readable(path)
    try:
        choices = list(_choose(path, condition, track))
        return _open_first(choices, condition)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the disk") from error
    except ImportError as error:
        raise AudioError(
            f"{path}: its decoder cannot be loaded ({error}); free some memory, or install PyAV anew"
        ) from error


def import_decoder(path: Path) -> None:
    """Import the decoder that a file of this name usually needs, which takes a while."""
    ending = path.suffix[1:].lower()
    if ending in _FRAME_EXTENSIONS:
        import_module("stemsplit.audio.frame_decoder")
    elif ending in _WAV_EXTENSIONS:
        import_module("stemsplit.audio.wav_decoder")
    else:
        import_module("stemsplit.audio.pyav")


def _open_first(choices: list[_Open], condition: Condition) -> Decoder:
    """Return the first decoder that takes the file; if none does, the first says why."""
    refusals: list[AudioError] = []
    for choice in choices:
        try:
            return choice()
        except AudioError as error:
            if condition.is_refused:
                raise
            refusals.append(error)
    raise refusals[0]


def _choose(path: Path, condition: Condition, track: int | None) -> Iterator[_Open]:
    """Yield the ways to open a file, the likeliest first."""
    kind, content = _find_content(path)
    ending = path.suffix[1:].lower()
    if kind in (parse_mpeg, parse_adts):
        yield lambda: _open_frames(path, kind, condition)
    elif is_wav(content):
        yield from _choose_wav(path, condition)
    elif content.startswith(b"OggS"):
        yield lambda: _open_ogg(path, condition, track)
    elif content.startswith(_SNDFILE_MARKS) and not _is_coded_caf(content):
        yield lambda: _open_sndfile(path, condition)
    yield lambda: _open_av(path, condition, track)
    if ending in _FRAME_EXTENSIONS:
        yield lambda: _open_frames(path, _FRAME_EXTENSIONS[ending], condition)
    yield lambda: _open_sndfile(path, condition)


def _choose_wav(path: Path, condition: Condition) -> Iterator[_Open]:
    with path.open("rb") as file:
        audio = find_wav_audio(file, condition)
    if audio is None:
        return
    if is_linear(audio.fmt):
        yield lambda: _open_wav(path, audio, condition)
    elif format_code(audio.fmt) in _MPEG_IN_WAV:
        yield lambda: _open_frames(path, parse_mpeg, condition, audio)
    else:
        yield lambda: _open_sndfile(path, condition)


def _find_content(path: Path) -> tuple[ParseHeader | None, bytes]:
    """Return which coded frames a file begins with, if any, and its first bytes behind ID3 tags and zeros."""
    with path.open("rb") as file:
        n_bytes = file.seek(0, 2)
        for parse in (parse_mpeg, parse_adts):
            position, has_frames = FrameWalk(file, 0, n_bytes, parse).find_content()
            file.seek(position)
            content = file.read(_HEAD_BYTES)
            if has_frames:
                return parse, content
    return None, content


def _is_coded_caf(head: bytes) -> bool:
    """Tell whether a CAF holds something else than PCM."""
    return head.startswith(b"caff") and head[28:32] != b"lpcm"


def _open_frames(
    path: Path, parse: ParseHeader, condition: Condition, audio: WavAudio | None = None
) -> Decoder:
    from stemsplit.audio.frame_decoder import FrameStreamDecoder

    if audio is None:
        return FrameStreamDecoder(path, parse, condition)
    return FrameStreamDecoder(path, parse, condition, start=audio.start, end=audio.end, container="WAV")


def _open_ogg(path: Path, condition: Condition, track: int | None) -> Decoder:
    from stemsplit.audio.ogg_decoder import OggDecoder

    return OggDecoder(path, condition, place=_place(track))


def _open_av(path: Path, condition: Condition, track: int | None) -> Decoder:
    from stemsplit.audio.container_ends import check_container_end
    from stemsplit.audio.integrity import check_size
    from stemsplit.audio.pyav import AvDecoder

    check_container_end(path, condition)
    check_size(path, condition)
    decoder = AvDecoder(path, condition, place=_place(track))
    parse = _FRAME_CONTAINERS.get(decoder.info.container)
    if parse is None:
        return decoder
    # FFmpeg found frames behind something else, and does not count them
    decoder.close()
    return _open_frames(path, parse, condition)


def _open_wav(path: Path, audio: WavAudio, condition: Condition) -> Decoder:
    from stemsplit.audio.wav_decoder import WavDecoder

    return WavDecoder.from_file(path, audio, condition)


def _open_sndfile(path: Path, condition: Condition) -> Decoder:
    from stemsplit.audio.container_ends import check_container_end
    from stemsplit.audio.integrity import check_size
    from stemsplit.audio.sndfile import SndfileDecoder

    check_container_end(path, condition)
    check_size(path, condition)
    return SndfileDecoder(path, condition)


def _place(track: int | None) -> int | None:
    return None if track is None else track - 1


def _open_pipe(path: Path, condition: Condition) -> Decoder:
    from stemsplit.audio.wav_decoder import WavDecoder

    stream = path.open("rb", buffering=0)
    try:
        decoder = WavDecoder.from_stream(stream, condition)
    except BaseException:
        stream.close()
        raise
    decoder.own(stream)
    return decoder


def _check_readable(path: Path) -> None:
    """Raise an error for what is not a regular, readable, non-empty file, and say what it is."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise AudioError(f"{path}: is {kind}; name an audio file, or pipe wav into `stemsplit -`")
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError:
        raise AudioError(f"{path}: no such file; check the name") from None
    except PermissionError:
        raise AudioError(f"{path}: may not be read; change its permissions") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{path}: cannot be read ({reason}); check the disk and the name") from error
    if is_empty:
        raise AudioError(f"{path}: is empty (0 bytes); get a whole copy of the file")


def is_pipe(path: Path) -> bool:
    """Tell whether a path is a named pipe, such as a shell makes for a process substitution."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except (OSError, ValueError):  # reading its head will say it better
        return False
