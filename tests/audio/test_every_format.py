"""Every codec in every container that PyAV writes here: whole, cut and joined, no sound is lost in silence.

How many samples there are is known from what was encoded, and from the packets that FFmpeg finds. A file that
is read is as long as that; one that is cut or joined is so as well, has a note, or is an error.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import pytest

from stemsplit.audio.reader import open_audio
from stemsplit.errors import AudioError
from tests.docs.pages import read_words
from tests.support.audio_files import tones
from tests.support.av_files import count_packets, encode

pytestmark = pytest.mark.slow

N_SAMPLES = 24_000
# what encoders and decoders add at both ends, together
MOST_ADDED = 6 * 1536
# encoders that keep their last frame to themselves
UNFLUSHED = {"mp2", "mp2fixed", "nellymoser", "sbc", "wmav1", "wmav2"}
# fmt: off
CODECS = (
    "aac", "ac3", "eac3", "alac", "flac", "libmp3lame", "mp2", "mp2fixed", "libopus", "libvorbis", "wavpack",
    "tta", "wmav1", "wmav2", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_f32le", "pcm_u8", "pcm_mulaw",
    "pcm_alaw", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha", "adpcm_ima_qt", "g722", "g726",
    "libspeex", "nellymoser", "real_144", "libopencore_amrnb", "pcm_bluray", "pcm_dvd", "sbc", "aptx",
)
ENDINGS = {
    "mp4": "mp4", "ipod": "m4a", "mov": "mov", "3gp": "3gp", "matroska": "mkv", "webm": "webm", "ogg": "ogg",
    "opus": "opus", "spx": "spx", "avi": "avi", "asf": "wma", "flv": "flv", "nut": "nut",
    "mpegts": "ts", "mpeg": "mpg", "vob": "vob", "rm": "rm", "wav": "wav", "w64": "w64", "aiff": "aiff",
    "caf": "caf", "au": "au", "mp3": "mp3", "mp2": "mp2", "adts": "aac", "ac3": "ac3", "eac3": "eac3",
    "flac": "flac", "wv": "wv", "tta": "tta", "latm": "latm", "amr": "amr", "voc": "voc",
    "g722": "g722", "ircam": "sf", "sbc": "sbc", "aptx": "aptx", "mmf": "mmf",
}
# fmt: on
# what the documentation says of those that cannot be noticed
BETWEEN_FRAMES = {
    "mpegts": "MPEG transport",
    "mpeg": "MPEG programme",
    "vob": "MPEG programme",
    "mp2": "mp2",
    "adts": "raw AAC",
    "latm": "raw AAC",
    "ac3": "raw AC-3",
    "eac3": "raw AC-3",
    "amr": "AMR",
}
ANYWHERE = {"g722": "G.722", "ircam": "IRCAM", "sbc": "SBC", "aptx": "aptX"}
RATES = ((44_100, 2), (48_000, 2), (16_000, 1), (8_000, 1))


@dataclass(frozen=True)
class Outcome:
    """What became of a file: how many samples were read, and whether that was remarked."""

    n_samples: int
    is_remarked: bool


def read(path: Path) -> Outcome:
    try:
        with open_audio(path) as reader:
            n_samples = sum(block.shape[1] for block in reader.blocks())
            return Outcome(n_samples, bool(reader.notes))
    except AudioError as error:
        assert str(path) in str(error)
        return Outcome(0, True)


def write(path: Path, codec: str, container: str) -> bool:
    """Write a song at the first rate that the codec and the container take."""
    for rate, n_channels in RATES if codec in av.codecs_available else ():
        try:
            encode(path, tones(N_SAMPLES, n_channels, sample_rate=rate), codec, rate, format=container)
        except (av.error.FFmpegError, ValueError):
            continue
        if is_known(path):
            return True
    return False


def is_known(path: Path) -> bool:
    """Tell whether FFmpeg can read what it wrote: not AAC in wav, for example, whose frames have no ends."""
    try:
        return count_decoded(path) > 0
    except (av.error.FFmpegError, ValueError, IndexError):
        return False


def count_decoded(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(frame.samples for frame in file.decode(audio=0))


def find_packets(path: Path) -> list[int]:
    with av.open(str(path)) as file:
        packets = file.demux(file.streams.audio[0])
        return [packet.pos for packet in packets if packet.size and packet.pos and packet.pos > 0]


def cut_inside(data: bytes) -> Iterator[bytes]:
    """Yield beginnings of a file that end inside a packet, of a transport stream or a sector too."""
    for kept in (0.97, 0.6, 0.2):
        n_bytes = int(len(data) * kept)
        yield data[: n_bytes if n_bytes % 4 else n_bytes + 101]


def cut_between(data: bytes, positions: list[int]) -> Iterator[bytes]:
    """Yield beginnings of a file that end between two packets of sound."""
    for kept in (0.5, 0.8):
        if len(positions) > 4:
            yield data[: positions[int(len(positions) * kept)]]


def check_whole(path: Path, codec: str) -> int:
    """Return the samples of a whole file, after comparing them with what there is."""
    whole = read(path)
    assert not whole.is_remarked, path
    least = count_decoded(path) if codec in UNFLUSHED else N_SAMPLES
    assert least <= whole.n_samples <= N_SAMPLES + MOST_ADDED, path
    n_packets, n_lasting = count_packets(path)
    assert n_packets
    if n_lasting:
        assert abs(whole.n_samples - n_lasting) <= MOST_ADDED, path
    return whole.n_samples


@pytest.mark.parametrize("container", ENDINGS)
def test_no_sound_is_lost_in_silence(tmp_path: Path, container: str) -> None:
    n_tried = 0
    for codec in CODECS:
        path = tmp_path / f"{codec}.{ENDINGS[container]}"
        if not write(path, codec, container):
            continue
        n_tried += 1
        n_samples = check_whole(path, codec)
        data, positions = path.read_bytes(), find_packets(path)
        cut = path.with_stem(f"{codec}-cut")
        damaged = [] if container in ANYWHERE else list(cut_inside(data))
        if container not in ANYWHERE | BETWEEN_FRAMES:
            damaged += cut_between(data, positions)
        for part in damaged:
            cut.write_bytes(part)
            made = read(cut)
            assert made.is_remarked or made.n_samples >= n_samples, (path.name, len(part), len(data))
        cut.write_bytes(data + data)
        made = read(cut)
        assert made.is_remarked or made.n_samples >= 2 * n_samples - MOST_ADDED, (path.name, "joined")
    assert n_tried


def test_what_cannot_be_noticed_is_documented() -> None:
    page = read_words("docs/formats.md")
    said = page.partition("What cannot be noticed: ")[2].partition("A wav file on")[0]
    assert [name for name in {*BETWEEN_FRAMES.values(), *ANYWHERE.values()} if name not in said] == []
