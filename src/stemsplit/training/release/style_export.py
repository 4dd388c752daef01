"""Export of the network that names the kind of music: an ONNX file that names its styles, and its card."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper

from stemsplit.files.atomic import whole_file
from stemsplit.models.integrity import hash_file
from stemsplit.music.style import LEAST_PROBABILITY, METADATA_KEY, N_MELS, UNKNOWN, WINDOW_FRAMES
from stemsplit.training import OPEN_DATA
from stemsplit.training.data.songs import LIBRARY_SOURCE
from stemsplit.training.data.styles import GENRES, STYLE_OF_GENRE, STYLES, StyledPiece
from stemsplit.training.fit.styles import name_style
from stemsplit.training.networks.style import StyleNetwork
from stemsplit.training.release.export import ModelFacts
from stemsplit.training.release.graph_parity import export_checked

_OUTPUT: Final = "probabilities"
Found = Sequence[tuple[StyledPiece, NDArray[np.float64]]]


def export_style(network: StyleNetwork, path: Path, *, version: str) -> None:
    """Write the network as ONNX, from windows to probabilities, after checking it against torch.

    Raises
    ------
    ModelError
        The file's probabilities differ from the network's.
    """
    network = network.to("cpu").eval()
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn((n, N_MELS, WINDOW_FRAMES), generator=generator) for n in (2, 5)]
    model, _ = export_checked(network, inputs, output=_OUTPUT)
    facts = ModelFacts.of("style", STYLES, training_sources={LIBRARY_SOURCE}, version=version)
    helper.set_model_props(model, {METADATA_KEY: json.dumps(STYLES), **facts.to_metadata()})
    onnx.checker.check_model(model)
    with whole_file(path) as file:
        file.write(model.SerializeToString())


def make_card(path: Path, found: Found, *, n_steps: int, n_folds: int) -> str:
    """Return the card of the exported network at `path`: what it is, and how often it is right.

    `found` are the probabilities of pieces whose makers the network that gave them had not seen.
    """
    makers = {genre: {piece.maker for piece, _ in found if piece.genre == genre} for genre in GENRES}
    sources = sorted({(item.source, item.licence) for piece, _ in found for item in piece.items})
    return "\n".join(
        [
            "# style",
            "",
            "The kind of music, by four convolutions over log-mel windows of six seconds. It separates "
            "nothing: `stemsplit analyse`, `--analyse` and `[routes]` use it.",
            "",
            "| | |",
            "|---|---|",
            f"| styles | {', '.join(STYLES)}; {UNKNOWN} below a probability of {LEAST_PROBABILITY} |",
            f"| file | {path.stat().st_size / 1e6:.2f} MB, SHA-256 `{hash_file(path)}` |",
            "| licence | MIT |",
            f"| training data | library ({OPEN_DATA}) |",
            "",
            "## Training",
            "",
            f"{n_steps} steps of 32 windows, every genre and every maker within it drawn equally often: "
            "`python -m stemsplit.training fit-style LIBRARY models/parts/style.onnx --work WORK`.",
            "",
            "## Figures",
            "",
            f"Pieces by makers that a network had not seen: {n_folds} networks, each trained without a part "
            "of the makers. Rows are what the library says, columns what the network names.",
            "",
            *_make_confusion(found),
            "",
            "The network is trained to tell genres apart, but the library has too few makers of each ("
            + ", ".join(f"{genre} {len(names)}" for genre, names in makers.items())
            + "): on others it mistakes them for each other. So all but acoustic music is called produced. "
            "This and the threshold were chosen by these figures, which flatter so far.",
            "",
            "## Data",
            "",
            "| source | licence |",
            "|---|---|",
            *(f"| {source} | {licence} |" for source, licence in sources),
            "",
        ]
    )


def _make_confusion(found: Found) -> list[str]:
    counts = Counter((piece.genre, name_style(probabilities)) for piece, probabilities in found)
    names = (*STYLES, UNKNOWN)
    rows = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    rows += [f"| {genre} | {' | '.join(str(counts[genre, name]) for name in names)} |" for genre in GENRES]
    right = sum(count for (genre, name), count in counts.items() if STYLE_OF_GENRE[genre] == name)
    named = sum(count for (_, name), count in counts.items() if name != UNKNOWN)
    return [
        *rows,
        "",
        f"Of {len(found)} pieces {named} are named, {right / max(1, named):.0%} of them rightly.",
    ]
