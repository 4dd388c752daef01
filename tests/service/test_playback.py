"""Mixes of the stems, and what the page plays: segments and peaks."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import soundfile

pytest.importorskip("starlette")

from stemsplit.dsp.resample import Resampler
from stemsplit.types import FloatArray
from tests.support.marks import slow_but
from tests.support.service import WAV, Running, is_error, make_wav, read_audio, running


def test_a_mix_is_the_sum_of_what_sounds(service: Running) -> None:
    song = service.separate(WAV, bits="32f")
    stems = {stem: read_audio(service.client.get(url).content) for stem, url in song["outputs"].items()}
    parameters = {"stems": "drums,bass", "gains_db": "drums:-6,bass:3.5", "pans": "bass:-0.5"}
    mix = service.client.get(song["mix"], params=parameters)
    assert mix.headers["content-disposition"].endswith(quote("song (mix).wav"))
    left, right = stems["bass"].T * 10 ** (3.5 / 20)
    near, far = np.sin(np.pi / 4), np.cos(np.pi / 4)
    bass = np.stack([left + far * right, near * right], axis=1)
    assert np.abs(read_audio(mix.content) - (10 ** (-6 / 20) * stems["drums"] + bass)).max() < 1e-6


def test_a_part_of_a_mix_is_cut_to_the_sample(service: Running) -> None:
    song = service.separate(WAV, bits="32f")
    whole = read_audio(service.client.get(song["mix"]).content)
    part = read_audio(service.client.get(song["mix"], params={"start_s": "0.1", "end_s": "0.2"}).content)
    assert np.array_equal(part, whole[4410:8820])
    assert np.abs(whole - read_audio(WAV)).max() < 1e-6


def test_a_mix_that_would_clip_is_turned_down(service: Running) -> None:
    song = service.separate(WAV)
    mix = read_audio(service.client.get(song["mix"], params={"gains_db": "other:12", "bits": "16"}).content)
    assert 0.5 < np.abs(mix).max() <= 1.0
    loud = read_audio(service.client.get(song["mix"], params={"gains_db": "other:12", "bits": "32f"}).content)
    assert np.abs(mix / np.abs(mix).max() - loud / np.abs(loud).max()).max() < 1e-3


@pytest.fixture(scope="module")
def lasting(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with one song, for tests that change nothing."""
    with running(tiny_model, tmp_path_factory.mktemp("serve") / "songs") as service:
        service.separate(WAV)
        yield service


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"stems": "drms"}, ["'drms'", "did you mean 'drums'?"]),
        ({"gains_db": "drums"}, ["drums:-6,bass:3"]),
        ({"gains_db": "drums:loud"}, ["'loud'", "no number"]),
        ({"gains_db": "drums:nan"}, ["no number"]),
        ({"gains_db": "drums:40"}, ["-60 to 12"]),
        ({"pans": "drums:2"}, ["-1 to 1"]),
        ({"format": "mp4"}, ["'mp4' is unknown"]),
        ({"format": "flac", "bits": "32f"}, ["cannot hold '32f' bits"]),
        ({"start_s": "3", "end_s": "1"}, ["is empty"]),
        ({"start_s": "9"}, ["behind the end"]),
        ({"start_s": "1e308"}, ["start_s", "'1e308'", "no number up to"]),
        ({"volume": "1"}, ["'volume' is unknown"]),
    ],
)
def test_a_mix_that_cannot_be_is_refused(
    lasting: Running, parameters: dict[str, str], words: list[str]
) -> None:
    (song,) = lasting.client.get("/api/songs").json()["songs"]
    assert is_error(lasting.client.get(song["mix"], params=parameters), 400, "SettingsError", *words)


def test_only_the_last_mixes_are_kept(service: Running) -> None:
    song = service.separate(WAV)
    for gain in range(12):
        assert service.client.get(song["mix"], params={"gains_db": f"drums:{gain}"}).status_code == 200
    assert len(list(service.folder.glob("*/mixes/*"))) == 8


@pytest.mark.parametrize("format", slow_but(["wav"], ["wav", "flac", "mp3"]))
def test_segments_are_the_track_without_a_seam(service: Running, format: str) -> None:
    data = make_wav(9)
    song = service.separate(data, format=format)
    preview = service.client.get(song["preview"]).json()
    assert (preview["sample_rate"], preview["n_channels"], preview["n_samples"]) == (44100, 2, 9 * 44100)
    assert preview["n_segments"] == 5
    for track, url in [*preview["stems"].items(), ("original", preview["original"])]:
        segments = [
            read_audio(service.client.get(url, params={"segment": n}).content)
            for n in range(preview["n_segments"])
        ]
        stored = data if track == "original" else service.client.get(song["outputs"][track]).content
        expected = read_audio(stored)[: preview["n_samples"]]
        assert np.abs(np.concatenate(segments) - expected).max() <= 1 / 32768
    for number in ("5", "-1", "x", "9" * 5000):
        refused = service.client.get(url, params={"segment": number})
        assert is_error(refused, 404, "NoSuchSongError", "there are 5")


def test_stems_in_mpeg_4_are_mixed_converted_and_played(service: Running) -> None:
    song = service.separate(WAV, format="ALAC")
    packed = service.client.get(song["zip"], params={"format": "wav", "bits": "24"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        stems = {stem: read_audio(archive.read(f"song ({stem}).wav")) for stem in song["outputs"]}
    assert np.abs(sum(stems.values()) - read_audio(WAV)).max() < 3 / 32768
    bass = service.client.get(song["outputs"]["bass"], params={"format": "wav"})
    assert np.array_equal(read_audio(bass.content), stems["bass"])
    assert soundfile.info(io.BytesIO(bass.content)).subtype == "PCM_16"
    mix = service.client.get(song["mix"], params={"stems": "bass", "start_s": "0.1", "bits": "32f"})
    assert np.array_equal(read_audio(mix.content), stems["bass"][4410:])
    preview = service.client.get(song["preview"]).json()
    segment = service.client.get(preview["stems"]["bass"], params={"segment": 0})
    assert np.abs(read_audio(segment.content) - stems["bass"]).max() <= 1 / 32768


def test_lossy_stems_in_mpeg_4_are_played_as_they_are_mixed(service: Running) -> None:
    song = service.separate(WAV, format="m4a", stems="bass")
    mix = read_audio(service.client.get(song["mix"]).content)
    preview = service.client.get(song["preview"]).json()
    assert preview["n_samples"] == len(mix) == len(read_audio(WAV))
    segment = service.client.get(preview["stems"]["bass"], params={"segment": 0})
    assert np.abs(read_audio(segment.content) - mix).max() <= 1 / 32768
    assert np.abs(mix).max() > 0.1


def test_the_original_is_as_fast_as_stems_at_another_rate(service: Running) -> None:
    song = service.separate(WAV, format="opus", stems="bass")
    preview = service.client.get(song["preview"]).json()
    assert (preview["sample_rate"], preview["n_samples"]) == (48000, 24000)
    segment = service.client.get(preview["original"], params={"segment": 0})
    original, expected = read_audio(segment.content).T, convert_rate(read_audio(WAV).T)
    assert original.shape == expected.shape
    assert np.abs(original - expected).max() < 1e-4
    assert len(preview["original_peaks"]) == len(preview["peaks"]["bass"])


def convert_rate(samples: FloatArray) -> FloatArray:
    """Samples at 44.1 kHz, at 48 kHz; ``(channels, samples)``."""
    resampler = Resampler(from_hz=44100, to_hz=48000)
    return np.concatenate([resampler.process(samples), resampler.flush()], axis=1)


def test_peaks_are_those_of_the_tracks(service: Running) -> None:
    song = service.separate(WAV)
    preview = service.client.get(song["preview"]).json()
    assert set(preview["peaks"]) == set(song["outputs"])
    stem = np.abs(read_audio(service.client.get(song["outputs"]["drums"]).content)).max(axis=1)
    n = -(-len(stem) // 1800)
    expected = [round(255 * float(stem[start : start + n].max())) for start in range(0, len(stem), n)]
    assert preview["peaks"]["drums"] == pytest.approx(expected, abs=1)


def test_a_song_that_cannot_be_played_is_done_all_the_same(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("stemsplit.service.worker.make_preview", lambda *_, **__: 1 / 0)
        song = service.separate(WAV)
    assert (song["status"], song["preview"]) == ("done", None)
    assert service.client.get(song["outputs"]["bass"]).status_code == 200
    assert is_error(service.client.get(f"/api/songs/{song['id']}/preview"), 409, "NotSeparatedError")
