"""Vocals: sung phrases follow their notes; stems are made from many kinds of recordings."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mido")
pytest.importorskip("pedalboard")
pytest.importorskip("pyworld")

from stemsplit.errors import StemsplitError
from stemsplit.training import SAMPLE_RATE
from stemsplit.training.data.library import Library, to_int16
from stemsplit.training.synthesis import vocals as vocals_module
from stemsplit.training.synthesis.backing import (
    BackingVocals,
    Phrase,
    add_refrains,
    harmonise,
    vary_performance,
)
from stemsplit.training.synthesis.harmony import Pulse
from stemsplit.training.synthesis.melody import (
    find_scale,
    make_monophonic,
    pitch_curve,
    quantise_pitch,
    scale_intervals,
    split_phrases,
)
from stemsplit.training.synthesis.midi import MidiPart, Note
from stemsplit.training.synthesis.sampler import Instrument
from stemsplit.training.synthesis.singer import Singer, correct_pitch, flatten_pitch
from stemsplit.training.synthesis.singing import FRAME_S, N_FFT, VoiceFrames, analyse_voice
from stemsplit.training.synthesis.syllables import find_syllables
from stemsplit.training.synthesis.vocal_bus import apply_telephone, apply_vocal_chain, ping_pong_echoes
from stemsplit.training.synthesis.vocals import VocalRenderer, detect_steady_pitch, drop_rare_pitches
from stemsplit.training.synthesis.words import cut_words

_SINGER = Singer(60, 1.0, (5.5, 0.0, 0.3), 0.05, 3.0, 0.0, 0.0, 0.0)


def vowel(
    frequency_hz: float = 180.0, length_s: float = 0.3, formant_hz: float = 800.0, hiss_s: float = 0.06
) -> np.ndarray:
    """A syllable: some hiss, then harmonics under one formant, (1, samples)."""
    time = np.arange(round(length_s * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, int(8000 / frequency_hz)) * frequency_hz
    gains = 1 / (1 + ((harmonics - formant_hz) / 150) ** 2) + 0.01
    voice = sum(g * np.sin(2 * np.pi * f * time) for g, f in zip(gains, harmonics, strict=True))
    fade = np.minimum(1, np.minimum(time, time[::-1]) / 0.02)
    hiss = np.random.default_rng(0).normal(0, 0.02, round(hiss_s * SAMPLE_RATE))
    rest = np.zeros(round(0.05 * SAMPLE_RATE))
    return np.concatenate([rest, hiss, 0.3 * fade * voice, rest])[None].astype(np.float32)


def speech() -> np.ndarray:
    return np.concatenate(
        [vowel(hz, 0.2, formant) for hz, formant in ((150, 500), (170, 900), (140, 700))], 1
    )


def pitch_of(waveform: np.ndarray, start_s: float, stop_s: float) -> float:
    """Return the median MIDI pitch, measured in the waveform."""
    pitch_hz = analyse_voice(waveform[:, round(start_s * SAMPLE_RATE) : round(stop_s * SAMPLE_RATE)]).pitch_hz
    return float(np.median(69 + 12 * np.log2(pitch_hz[pitch_hz > 0] / 440)))


def formant_of(frames: VoiceFrames) -> float:
    voiced = frames.log_power[frames.pitch_hz > 0].mean(0)
    return float(np.argmax(voiced[: round(4000 * N_FFT / SAMPLE_RATE)])) * SAMPLE_RATE / N_FFT


@pytest.mark.slow
@pytest.mark.parametrize("pitches", [(57, 60, 55), (69, 67, 72)])
def test_sung_phrases_follow_their_notes(pitches: tuple[int, ...]) -> None:
    notes = [Note(0.5 + 0.6 * i, 0.6, pitch, 90) for i, pitch in enumerate(pitches)]
    frames, start_s = _SINGER.sing(find_syllables(analyse_voice(speech())), notes, np.random.default_rng(1))
    sound = frames.waveform()
    for note in notes:
        begin_s = note.start_s - start_s
        assert pitch_of(sound, begin_s + 0.15, begin_s + 0.5) == pytest.approx(note.pitch, abs=0.3)


def test_vowels_fill_the_notes_and_consonants_keep_their_length() -> None:
    word = find_syllables(analyse_voice(vowel(180, 0.15)))[:1]
    for length_s in (0.4, 1.6):
        frames, start_s = _SINGER.sing(word, [Note(1.0, length_s, 54, 90)], np.random.default_rng(0))
        voiced = np.flatnonzero(frames.pitch_hz > 0) * FRAME_S + start_s
        assert voiced[0] == pytest.approx(1.0, abs=0.08)
        assert voiced[-1] == pytest.approx(1.0 + length_s, abs=0.12)


def test_stretching_keeps_the_pitch() -> None:
    frames = analyse_voice(vowel(220, 0.4))
    slow = frames.at(np.linspace(0, frames.n_frames - 1, 3 * frames.n_frames)).waveform()
    assert slow.shape[1] == pytest.approx(3 * vowel(220, 0.4).shape[1], rel=0.02)
    assert pitch_of(slow, 0.5, 1.4) == pytest.approx(57, abs=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.8, 1.25])
def test_formants_move_and_the_pitch_stays(ratio: float) -> None:
    moved = analyse_voice(analyse_voice(vowel(150, 0.5, 1000)).with_formants(ratio).waveform())
    assert formant_of(moved) == pytest.approx(1000 * ratio, rel=0.12)
    assert np.median(moved.pitch_hz[moved.pitch_hz > 0]) == pytest.approx(150, rel=0.02)


def test_transposing_keeps_the_formants() -> None:
    higher = analyse_voice(analyse_voice(vowel(150, 0.5, 1000)).transpose(5.0).waveform())
    assert formant_of(higher) == pytest.approx(1000, rel=0.15)
    assert np.median(higher.pitch_hz[higher.pitch_hz > 0]) == pytest.approx(150 * 2 ** (5 / 12), rel=0.02)


def test_a_whisper_has_no_pitch_and_breath_is_noise() -> None:
    frames = analyse_voice(vowel(200, 0.5))
    assert not (analyse_voice(frames.whisper().waveform()).pitch_hz > 0).mean() > 0.1
    assert (frames.with_breath(0.7).aperiodicity >= frames.aperiodicity - 1e-6).all()
    assert frames.with_breath(0.7).aperiodicity.mean() > frames.aperiodicity.mean() + 0.05


def test_only_band_limited_recordings_get_an_upper_octave() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, SAMPLE_RATE)).astype(np.float32)
    spectrum = np.fft.rfft(noise)
    spectrum[:, np.fft.rfftfreq(noise.shape[1], 1 / SAMPLE_RATE) > 7500] *= 1e-4
    narrow = analyse_voice(np.fft.irfft(spectrum).astype(np.float32))
    top = round(12_000 * N_FFT / SAMPLE_RATE)
    assert narrow.with_air().log_power[:, top].mean() > narrow.log_power[:, top].mean() + 5
    full = analyse_voice(noise)
    assert full.with_air() is full


@pytest.mark.parametrize("kind", ["silence", "noise", "nothing"])
def test_unvoiced_sound_has_no_syllables_and_stays_finite(kind: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 20_000)).astype(np.float32)
    waveform = {"silence": np.zeros((1, 20_000), np.float32), "noise": noise, "nothing": noise[:, :0]}[kind]
    frames = analyse_voice(waveform)
    assert find_syllables(frames) == []
    transform = harmonise(correct_pitch(frames).with_air(), 2).with_formants(1.2).transpose(3.0)
    assert np.isfinite(vary_performance(transform, np.random.default_rng(0)).waveform()).all()
    assert all(np.isfinite(word.waveform).all() for word in cut_words(waveform, 1.1))


def test_syllables_are_found_with_their_vowels() -> None:
    found = find_syllables(analyse_voice(speech()))
    assert len(found) == 3
    for each in found:
        assert (each.frames.pitch_hz[each.vowel] > 0).all()
        assert 0.1 < (each.vowel.stop - each.vowel.start) * FRAME_S < 0.25


def test_words_are_cut_in_order_and_faster_when_asked() -> None:
    words = cut_words(speech())
    assert len(words) == 2 and all(0 <= word.attack_s < 0.3 for word in words)
    quick = cut_words(speech(), 1.3)
    assert sum(w.waveform.shape[1] for w in quick) < 0.9 * sum(w.waveform.shape[1] for w in words)


@pytest.mark.slow
def test_harmonies_stay_in_the_scale_and_differ_from_the_lead() -> None:
    scale = find_scale(np.array([60, 62, 64, 65, 67, 69, 71.0]))
    thirds = scale_intervals(np.repeat([60.0, 62, 64], 100), scale, 2)
    assert thirds[[50, 150, 250]] == pytest.approx([4, 3, 3], abs=0.01)
    lead = analyse_voice(vowel(220, 0.8))
    third = pitch_of(harmonise(lead, 2).waveform(), 0.2, 0.7) - pitch_of(lead.waveform(), 0.2, 0.7)
    assert third == pytest.approx(round(third), abs=0.1) and round(third) in (3, 4)


def test_performances_differ_by_cents_and_by_milliseconds() -> None:
    lead = analyse_voice(vowel(220, 0.8))
    performances = [vary_performance(lead, np.random.default_rng(seed)) for seed in range(8)]
    cents = [1200 * np.log2(np.median(f.pitch_hz[f.pitch_hz > 0]) / 220) for f in performances]
    assert 2 < np.std(cents) < 40 and max(np.abs(cents)) < 60


@pytest.mark.slow
def test_an_arrangement_spreads_voices_around_the_lead() -> None:
    phrases = [Phrase(i * SAMPLE_RATE, vowel(200 + 20 * i, 0.3)) for i in range(2)]
    wide = [BackingVocals(np.random.default_rng(seed)).voices(phrases, 4 * SAMPLE_RATE) for seed in range(8)]
    sung = [each for each in wide if each.any()]
    assert 2 <= len(sung) < 8
    assert any(np.abs(each[0] - each[1]).max() > 0.05 for each in sung)


@pytest.mark.slow
def test_tuning_forces_notes_and_a_robot_has_one() -> None:
    off = analyse_voice(vowel(440 * 2 ** (0.35 / 12), 0.6))
    assert pitch_of(correct_pitch(off).waveform(), 0.2, 0.6) == pytest.approx(69, abs=0.1)
    assert np.ptp(flatten_pitch(analyse_voice(speech()), 50).pitch_hz) == 0
    assert quantise_pitch(np.array([60.4, 61.6]), frozenset({0, 2})).tolist() == [60, 62]


def test_vibrato_begins_late_and_swings_as_asked() -> None:
    curve = pitch_curve(
        [Note(0.0, 3.0, 60, 90)], 600, glide_s=0.05, scoop=0.0, vibrato=(5.5, 50.0, 0.5), drift_cents=0.0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    assert np.abs(curve[:80] - 60).max() < 0.05
    assert np.abs(curve[300:] - 60).max() == pytest.approx(0.5, abs=0.05)


def test_melodies_fit_the_voice_and_rest() -> None:
    melody = [Note(0.3 * i, 0.3, 84 + (i * 5) % 12, 90) for i in range(120)]
    notes = make_monophonic([*melody, replace(melody[0], pitch=60)], 57.0)
    assert all(46 <= note.pitch <= 68 for note in notes)
    assert all(a.start_s + a.length_s <= b.start_s + 1e-6 for a, b in pairwise(notes))
    phrases = split_phrases(notes, 0.6, np.random.default_rng(0))
    assert len(phrases) > 4 and all(0 < len(phrase) <= 16 for phrase in phrases)
    assert sum(map(len, phrases)) < len(notes)
    assert split_phrases([], 0.6, np.random.default_rng(0)) == [] == make_monophonic([], 60.0)


def test_long_rests_are_filled_without_overlap() -> None:
    phrases = [Phrase(0, vowel()), Phrase(60 * SAMPLE_RATE, vowel())]
    filled = add_refrains(phrases, 61 * SAMPLE_RATE, 0.5, np.random.default_rng(0))
    assert len(filled) > 2
    assert all(a.stop <= b.start for a, b in pairwise(filled))
    assert all(phrase.start % round(0.5 * SAMPLE_RATE) == 0 for phrase in filled)


def test_echoes_alternate_sides_and_a_telephone_is_narrow() -> None:
    click = np.zeros((2, SAMPLE_RATE), np.float32)
    click[:, :50] = 1
    left, right = np.abs(ping_pong_echoes(click, delay_s=0.2, feedback=0.5, roll_off_hz=8000))
    step = round(0.2 * SAMPLE_RATE)
    assert not left[:step].any() and left[step : 2 * step].max() > 0.1 and not right[: 2 * step].any()
    assert right[2 * step :].max() > 0.05
    noise = np.random.default_rng(0).normal(0, 0.1, (2, SAMPLE_RATE)).astype(np.float32)
    power = np.abs(np.fft.rfft(apply_telephone(np.random.default_rng(0), noise)[0])) ** 2
    assert power[15_000:].mean() < 0.03 * power[800:2000].mean()


def test_a_steady_note_has_a_pitch_and_hiss_has_none() -> None:
    assert detect_steady_pitch(vowel(220, 1.0)) == pytest.approx(57, abs=0.3)
    assert detect_steady_pitch(np.random.default_rng(0).normal(size=(1, 30_000)).astype(np.float32)) is None


@pytest.mark.slow
def test_a_voicebank_loses_its_rare_pitches_only_if_it_has_few(recorded: Library) -> None:
    item = recorded.items[0]
    bank = Instrument("bank", {60: [item] * 20, 72: [item] * 18, 79: [item]})
    assert set(drop_rare_pitches(bank).notes) == {60, 72}
    scale = Instrument("scale", {pitch: [item] for pitch in range(60, 72)})
    assert drop_rare_pitches(scale) is scale


@pytest.fixture
def recorded(tmp_path: Path) -> Library:
    """A speaker, a singer, a voicebank, someone who shouts, a choir: two recordings each, decoded already."""
    header = (
        "file,start_s,duration_s,channels,category,kind,instrument,piece,pitch,contains,split,name,source,"
    )
    rows = [header + "licence,attribution"]
    sounds = []
    kinds = ("speech", "singing", "syllable", "shout", "choir")
    for index, kind in enumerate(kind for kind in kinds for _ in range(2)):
        sound = {"speech": speech(), "singing": np.concatenate([vowel(220, 0.5), vowel(247, 0.5)], 1)}.get(
            kind, vowel(200 + 30 * index, 0.7)
        )
        sound = np.pad(sound, ((0, 0), (0, 2 * SAMPLE_RATE)))[:, : round(1.5 * SAMPLE_RATE)]
        rows.append(f"v.wav,{1.5 * index},1.5,1,vocals,{kind},voice,,,vocals,train,p/{index},me,CC0-1.0,me")
        sounds.append(sound)
    (tmp_path / "index.csv").write_text("\n".join(rows))
    (tmp_path / "cache").mkdir()
    np.save(tmp_path / "cache" / "v.wav.npy", to_int16(np.concatenate(sounds, axis=1)))
    return Library(tmp_path, tmp_path / "cache")


_MELODY = MidiPart(0, tuple(Note(0.25 * i, 0.25, 60 + (i * 3) % 10, 90) for i in range(24)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "ingredients"),
    [
        ("sung", ("sung-speech",)),
        ("whisper", ("sung-speech",)),
        *((each, ()) for each in ("singing", "syllable", "rap", "speech", "shout", "choir")),
    ],
)
def test_every_kind_is_rendered_tagged_and_the_same_by_seed(
    recorded: Library, kind: str, ingredients: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocals_module, "_SHARES", {kind: 1.0})
    renderer, again = (VocalRenderer(recorded, recorded.items, []) for _ in range(2))
    first, second, other = (
        each.render(_MELODY, Pulse(0.5), length_s=3.0, rng=np.random.default_rng(seed))
        for each, seed in ((renderer, 3), (again, 3), (renderer, 4))
    )
    assert first.waveform.shape == (2, 3 * SAMPLE_RATE) and first.waveform.dtype == np.float32
    assert first.ingredients == ingredients
    assert np.isfinite(first.waveform).all() and np.abs(first.waveform).max() > 0.01
    assert np.array_equal(first.waveform, second.waveform)
    assert not np.array_equal(first.waveform, other.waveform)


def test_a_renderer_without_speech_uses_other_recordings(recorded: Library) -> None:
    items = [item for item in recorded.items if item.kind == "singing"]
    rng = np.random.default_rng(0)
    stem = VocalRenderer(recorded, items, []).render(_MELODY, Pulse(0.5), length_s=4.0, rng=rng)
    assert stem.ingredients == () and stem.waveform.any()


@pytest.mark.parametrize("spoken", [45.0, 52.0, 62.0])
def test_singers_stay_in_the_range_of_songs(spoken: float) -> None:
    rng = np.random.default_rng(0)
    middles = [Singer.draw(rng, spoken, is_sung=False).middle for _ in range(300)]
    assert min(middles) >= 45 and max(middles) <= 70  # 466 Hz
    assert np.std(middles) > 2


def test_a_produced_voice_stays_around_zero() -> None:
    """Voices are asymmetric, so that saturation and compression would shift their mean."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    pulses = sum(np.cos(2 * np.pi * 150 * k * time) / k for k in range(1, 30))
    voice = np.stack([pulses, pulses]).astype(np.float32) / 8
    room = np.zeros((2, 2000), np.float32)
    room[:, 0] = 1
    for seed in range(25):
        out = apply_vocal_chain(np.random.default_rng(seed), voice, [room])
        assert abs(out.mean()) < 0.01 * np.sqrt(np.square(out).mean()), seed


def test_a_library_without_a_voice_is_an_error(recorded: Library) -> None:
    renderer = VocalRenderer(recorded, [], [])
    with pytest.raises(StemsplitError, match="no voice"):
        renderer.render(_MELODY, Pulse(0.5), length_s=4.0, rng=np.random.default_rng(0))
