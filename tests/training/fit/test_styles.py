"""Training of the network that names the kind of music, on makers that it knows and others."""

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from stemsplit.music.style import N_MELS, WINDOW_FRAMES, StyleClassifier
from stemsplit.training.data.library import Item, Library
from stemsplit.training.data.styles import GENRES, STYLES, StyledPiece, find_genre, list_pieces
from stemsplit.training.fit.styles import StyledWindows, deal_makers, fit_styles, measure_makers, name_style
from stemsplit.training.release.style_export import export_style, make_card

pytestmark = pytest.mark.slow


def make_data() -> list[StyledWindows]:
    """Three makers of each genre, which differ in the bands that sound."""
    rng, data = np.random.default_rng(0), []
    for number, genre in enumerate(GENRES):
        for maker in range(3):
            windows = 0.3 * rng.standard_normal((4, N_MELS, WINDOW_FRAMES)).astype(np.float32)
            windows[:, 16 * number : 16 * number + 16] += 2
            piece = StyledPiece(f"{genre} {maker}", f"maker {number} {maker}", genre, ())
            data.append(StyledWindows(piece, windows - windows.mean(axis=(1, 2), keepdims=True)))
    return data


def test_styles_are_learnt_and_exported(tmp_path: Path) -> None:
    data = make_data()
    found = measure_makers(data, n_folds=3, n_steps=60)
    assert {piece.name for piece, _ in found} == {each.piece.name for each in data}
    right = sum(name_style(probabilities) == piece.style for piece, probabilities in found)
    assert right >= 10
    path = tmp_path / "style.onnx"
    network = fit_styles(data, n_steps=60)
    export_style(network, path, version="1.2.3")
    classifier = StyleClassifier(path)
    assert tuple(classifier.styles) == STYLES
    assert np.argmax(classifier(data[-1].windows), axis=1).tolist() == [1, 1, 1, 1]
    card = make_card(path, found, n_steps=60, n_folds=3)
    assert "Of 12 pieces" in card and "| rock |" in card


def test_makers_are_dealt_so_that_styles_keep_some() -> None:
    groups = deal_makers(make_data(), 3)
    for number in range(len(GENRES)):
        assert {groups[f"maker {number} {maker}"] for maker in range(3)} == {0, 1, 2}


def test_pieces_of_a_known_style_are_found(tmp_path: Path) -> None:
    rows = [
        make_row("backing", "song", "lo-fi hip-hop"),
        make_row("backing", "song", "cinematic/ambient"),
        make_row("other", "performance", "string quartet", duration_s="5"),
        make_row("vocals", "singing", "folk"),
        make_row("backing", "song", "techno", split="valid"),
        make_row("backing", "song", "folk", licence="CC-BY-SA-4.0"),
        make_row("multitrack", "multitrack", "", source="mdn/webaudio-examples", split="valid"),
    ]
    with (tmp_path / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    pieces = list_pieces(Library(tmp_path, tmp_path / "cache"))
    assert [(each.genre, each.maker) for each in pieces] == [("hip-hop", "me")]
    assert find_genre("game electronic/rock") == "rock" and find_genre("noise") == ""


def make_row(category: str, kind: str, instrument: str, **values: str) -> dict[str, str]:
    """A row of the index; its piece is not held out unless `values` make it so."""
    row = dict.fromkeys(Item.__dataclass_fields__, "")
    row |= {"start_s": "0", "duration_s": "60", "channels": "2", "attribution": "me", "split": "train"}
    return row | {"category": category, "kind": kind, "instrument": instrument} | values
