"""Stems written by the tests, and every encoding there is."""

from pathlib import Path

from stemsplit.audio.encoding import LOSSY, Encoding
from stemsplit.audio.stem_set import StemSet
from stemsplit.audio.tags import Tags
from stemsplit.audio.write_report import WriteReport
from tests.support.audio_files import FloatArray

RATE = 48_000
PCM16 = Encoding("wav", "PCM_16")
FLOAT = Encoding("wav", "FLOAT")
ENCODINGS = [
    PCM16,
    Encoding("wav", "PCM_24"),
    Encoding("wav", "PCM_32"),
    FLOAT,
    Encoding("flac", "PCM_16"),
    Encoding("flac", "PCM_24"),
    Encoding("aiff", "PCM_24"),
    Encoding("aiff", "FLOAT"),
    Encoding("alac", "PCM_16"),
    Encoding("alac", "PCM_24"),
    *(Encoding(name, subtype) for name, subtype in LOSSY.items()),
]
TAGS = Tags(title="Ünder", artist="Bänd", bpm="120")


def save(
    folder: Path,
    stems: dict[str, FloatArray],
    encoding: Encoding,
    *,
    block_samples: int = 7777,
    sample_rate: int = RATE,
    tags: Tags | None = TAGS,
    overwrite: bool = False,
    channel_mask: int = 0,
) -> tuple[WriteReport, dict[str, Path]]:
    paths = {name: folder / f"{name}.{encoding.extension}" for name in stems}
    n_channels, n_samples = next(iter(stems.values())).shape
    with StemSet(
        paths,
        sample_rate=sample_rate,
        n_channels=n_channels,
        encoding=encoding,
        tags=tags,
        channel_mask=channel_mask,
        replaceable=paths.values() if overwrite else (),
    ) as stem_set:
        for start in range(0, n_samples, block_samples):
            stem_set.write({name: stem[:, start : start + block_samples] for name, stem in stems.items()})
        report = stem_set.complete()
        stem_set.place()
        return report, paths


def files_under(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
