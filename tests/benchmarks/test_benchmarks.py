"""The benchmarks: their measurements, songs, stand-ins and stored results."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.constant_model import write_constant_model
from benchmarks.decoding import FORMATS, decode, make_songs, measure_decoding
from benchmarks.families import Comparison, Separate, compare
from benchmarks.jobs import Bench
from benchmarks.process import Usage, measure, paired_ratio, summarise
from benchmarks.report import RESULTS, load, save
from benchmarks.songs import make_song
from stemsplit.separation.separator import Separator
from stemsplit.types import FloatArray
from tests.conftest import make_noise
from tests.support.tiny_models import make_spec


def test_a_process_is_accounted_for() -> None:
    usage = measure([sys.executable, "-c", "x = bytearray(100_000_000); sum(range(3_000_000))"])
    assert 100 < usage.peak_mb < 150
    assert 0 < usage.cpu_s <= usage.wall_s * 2


def test_memory_of_the_measuring_process_does_not_count() -> None:
    ballast = np.ones(25_000_000)  # 200 MB
    assert measure([sys.executable, "-c", "pass"]).peak_mb < 50
    assert ballast.all()


def test_the_error_of_a_failed_process_has_its_output() -> None:
    with pytest.raises(RuntimeError, match="no such luck"):
        measure([sys.executable, "-c", "raise SystemExit('no such luck')"])


def test_medians_and_ratios() -> None:
    usages = [Usage(wall_s, 1.0, 10.0) for wall_s in (3.0, 1.0, 2.0)]
    assert summarise(usages)["wall_s"] == 2
    assert paired_ratio(usages, [Usage(1.0, 1.0, 10.0)] * 3) == 2


def test_songs_are_never_silent(tmp_path: Path) -> None:
    samples, sample_rate = soundfile.read(make_song(tmp_path / "song.wav", 60), dtype="float32")
    assert len(samples) == 60 * sample_rate
    seconds = samples.reshape(60, -1)
    assert 10 * np.log10((seconds**2).mean(axis=1)).min() > -30


@pytest.mark.slow
def test_every_format_is_decoded_whole(tmp_path: Path) -> None:
    rows = measure_decoding(tmp_path, 1, duration_s=2)
    assert [row["format"] for row in rows] == list(FORMATS)
    assert all(row["speed"] > 1 for row in rows)
    (tmp_path / "again").mkdir()
    lengths_s = [decode(path)[0] for path in make_songs(tmp_path / "again", 2).values()]
    assert lengths_s == pytest.approx([2] * len(FORMATS))


@pytest.mark.slow
def test_a_command_ends_at_the_first_run_of_a_network(tmp_path: Path, tiny_model: Path) -> None:
    song, stems = make_song(tmp_path / "song.wav", 2), tmp_path / "stems"
    command = [sys.executable, "-m", "benchmarks.first_network", str(song), "--output", str(stems)]
    assert 0.1 < measure([*command, "--model", str(tiny_model)]).cpu_s < 60
    assert not list(stems.glob("**/*.wav"))
    with pytest.raises(RuntimeError, match="no network was run"):
        measure([*command, "--model", "hpss"])


@pytest.mark.parametrize("delay_frames", [0, 3])
def test_a_constant_model_gives_equal_shares(tmp_path: Path, delay_frames: int) -> None:
    path = write_constant_model(tmp_path / "constant.onnx", make_spec(delay_frames=delay_frames))
    mixture = make_noise(2, 44100)
    with Separator(models=[path], device="cpu") as separator:
        for stem in separator(mixture, 44100).values():
            np.testing.assert_allclose(stem, mixture / 4, atol=1e-6)


def test_the_yardstick_writes_the_same_files(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from benchmarks.yardstick import TARGETS, separate_song

    song = make_song(tmp_path / "song.wav", 3)
    separate_song(song, tmp_path / "stems", segment_s=2)
    for target in TARGETS:
        stem = soundfile.info(tmp_path / "stems" / f"{target}.wav")
        assert (stem.frames, stem.samplerate, stem.channels) == (3 * 44100, 44100, 2)
        assert stem.subtype == "PCM_16"


def test_results_are_stored_with_the_machine(tmp_path: Path) -> None:
    save("speed", [{"stems": 4}], {"machine": {"cores": 2}}, tmp_path)
    assert load("speed", tmp_path) == {"benchmark": "speed", "machine": {"cores": 2}, "rows": [{"stems": 4}]}


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_stored_results_name_machine_and_models(path: Path) -> None:
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["benchmark"] == path.stem
    assert result["machine"]["cores"] == 2
    assert result["models"]
    assert result["rows"]


def test_a_comparison_runs_both_alternately(tmp_path: Path) -> None:
    turns: list[str] = []

    def runner(name: str, factor: float) -> Separate:
        def run(song: FloatArray) -> FloatArray:
            turns.append(f"{name} {song.shape[1]}")
            return factor * song[None]

        return run

    def prepare(folder: Path, threads: int) -> tuple[Separate, Separate]:
        assert folder.is_dir() and threads > 0
        return runner("own", 1.01), runner("peer", 1.0)

    messages: list[str] = []
    song = np.ones((2, 500_000), np.float32)
    row = compare(Comparison("made up", "numpy", prepare), Bench(tmp_path, 2), song, messages.append)
    assert turns == ["own 441000", "peer 441000", *["own 500000", "peer 500000"] * 2]
    assert row["difference_db"] == pytest.approx(-40, abs=0.1)
    assert row["times_peer"] > 0 and len(messages) == 1
    missing = compare(
        Comparison("made up", "no-such-package", prepare), Bench(tmp_path, 2), song, messages.append
    )
    assert missing["skipped"] == "no-such-package is not installed" and "times_peer" not in missing
