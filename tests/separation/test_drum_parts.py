"""The parts of a drum kit: they take the place of the drums, and sum to them."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from stemsplit import ModelError, Separator, SettingsError
from stemsplit.dsp.meter import StemMeter
from stemsplit.registry.installed import bundled_models, kit_model, work_models
from tests.conftest import make_noise
from tests.music.test_midi import make_drums
from tests.separation.test_separator import stream
from tests.support.tiny_models import make_spec, write_model

PARTS = ("kick", "snare", "cymbals")


def open_kit(model: Path, **settings: object) -> Separator:
    return Separator(models=[model], device="cpu", drums="kit", **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_channels", [1, 2, 3])
@pytest.mark.parametrize(("sample_rate", "n_samples"), [(44100, 60_001), (48000, 700), (22050, 1)])
def test_parts_sum_to_the_drums_and_the_others_stay(
    tiny_model: Path, sample_rate: int, n_samples: int, n_channels: int
) -> None:
    mixture = make_noise(n_channels, n_samples)
    whole = Separator(models=[tiny_model], device="cpu")(mixture, sample_rate)
    stems = open_kit(tiny_model)(mixture, sample_rate)
    assert tuple(stems) == ("vocals", *PARTS, "bass", "other")
    assert all(samples.shape == mixture.shape for samples in stems.values())
    parts = sum(stems[name] for name in PARTS)
    np.testing.assert_allclose(parts, whole["drums"], atol=2e-7)
    for name in ("vocals", "bass", "other"):
        np.testing.assert_array_equal(stems[name], whole[name])


def test_parts_do_not_depend_on_blocks(tiny_model: Path) -> None:
    mixture, separator = make_noise(2, 100_000), open_kit(tiny_model)
    whole = separator(mixture, 44100)
    for name, samples in stream(separator, mixture, 4097, 44100).items():
        np.testing.assert_array_equal(samples, whole[name])


def test_a_kick_a_snare_and_a_hat_are_told_apart() -> None:
    """The model itself, on drums that it has not seen."""
    hits = [(0.5 * number, kind) for number, kind in enumerate(["kick", "hat", "snare", "hat"] * 2, 1)]
    apart = {
        kind: make_drums([hit for hit in hits if hit[1] == kind], 5) for kind in ("kick", "snare", "hat")
    }
    stems = Separator(models=[kit_model()], device="cpu")(sum(apart.values()), 44100)
    for stem, kind in (("kick", "kick"), ("snare", "snare"), ("cymbals", "hat")):
        energies = {each: float((stems[each] * apart[kind]).sum()) for each in PARTS}
        assert max(energies, key=lambda each: energies[each]) == stem, (kind, energies)


def test_the_model_that_makes_no_numbers_is_blamed_not_the_song(tmp_path: Path) -> None:
    broken = write_model(tmp_path / "broken.onnx", make_spec(), floor=-1.0)
    with pytest.raises(ModelError, match="holds NaN or infinity, the model"):
        open_kit(broken)(make_noise(2, 50_000), 44100)


def test_levels_and_confidence_are_those_of_the_song(tiny_model: Path) -> None:
    mixture, meter = make_noise(2, 50_000), StemMeter()
    separator = open_kit(tiny_model)
    assert separator.masked_stems == {"vocals", *PARTS, "bass", "other"}
    parts = list(separator.stream([mixture], sample_rate=44100, n_channels=2, meter=meter))
    kick = np.concatenate([part["kick"] for part in parts], axis=1)
    level_db = 10 * np.log10(np.square(kick).sum() / np.square(mixture).sum())
    assert meter.levels_db()["kick"] == pytest.approx(level_db, abs=0.02)
    assert meter.expected_sdr_db()["kick"] is not None and "drums" not in meter.levels_db()


def test_parts_go_with_other_settings(tiny_model: Path) -> None:
    mixture = make_noise(2, 30_000)
    assert tuple(open_kit(tiny_model, stems=["drums"])(mixture, 44100)) == PARTS
    assert open_kit(tiny_model, karaoke="drums").stems == (*PARTS, "no_drums")
    opened = pickle.loads(pickle.dumps(open_kit(tiny_model, stems=["bass", "drums"])))
    assert opened.stems == ("bass", *PARTS) and [info.name for info in opened.models][-1] == "kit"


def test_what_cannot_be_taken_apart_is_refused(tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match="made from the drums"):
        open_kit(tiny_model, stems=["vocals"])
    with pytest.raises(SettingsError, match="did you mean 'kit'"):
        Separator(models=[tiny_model], device="cpu", drums="kits")
    with pytest.raises(SettingsError, match="'kick' of its own"):
        Separator(models=[tiny_model, kit_model()], device="cpu", drums="kit", stems=["drums", "kick"])


@pytest.mark.slow
def test_closing_stops_both_models(tiny_model: Path) -> None:
    read, block = [], make_noise(1, 4410)

    def blocks():  # type: ignore[no-untyped-def]
        for number in range(10_000):
            read.append(number)
            yield block

    running = open_kit(tiny_model).stream(blocks(), sample_rate=44100, n_channels=1)
    next(running)
    running.close()
    assert len(read) < 2000


def test_the_model_is_no_bundled_one_and_small() -> None:
    assert kit_model() not in {*bundled_models(), *work_models().values()}
    assert kit_model().stat().st_size < 1_000_000 and kit_model().with_suffix(".md").is_file()
