"""The card of a model of one of the works: network, training, figures.

Sources and credits are those of the library, which the card of the bundled model lists.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stemsplit.errors import StemsplitError
from stemsplit.files.atomic import whole_file
from stemsplit.models.description_file import read_description
from stemsplit.models.integrity import hash_file
from stemsplit.models.onnx_metadata import read_metadata
from stemsplit.models.spec import PREFIX
from stemsplit.training import TARGETS
from stemsplit.training.data.sources import RECORDS_SOURCE
from stemsplit.training.fit.checkpoint import load_state, network_of, training_sources_in
from stemsplit.training.fit.curves import OWN_FIGURES
from stemsplit.training.networks.presence import PresenceNetwork

_TEMPLATE = """# {name}

{description}. {use}

| | |
|---|---|
| targets | {targets} |
| parameters | {parameters} |
| file | {size} MB, SHA-256 `{sha256}` |
| licence | {licence} |
| training data | {data} |

## Training

{steps} steps of {batch_size} examples in {minutes} on {hardware}, with {optimiser} at
{learning_rate:g}, in {precision}, seed {seed}. Options of the network: {options}.{adversary}{note}

## Figures

{figures}
"""
_USE_OF_MODEL = """It carries out one of the
[works](../../docs/works.md) behind stemsplit and is used only where it is named (`--model {name}`)"""
_BAND_IS_BETTER = """;
[band](../band.md) separates better"""
_USE_OF_CLASSIFIER = """It is part of one of the
[works](../../docs/works.md) behind stemsplit. The [analysis](../../docs/producers.md) of songs runs it."""
_SCORES = """\
uSDR in dB of the averaged weights at the end of the training, over the validation songs that have the
target.{records}

| | {columns} |
|---|{rules}|
{rows}"""

_RECORDS = """ Records are 94 excerpts that nothing was trained on; they are not openly licensed, and nothing
of them is stored."""


def write_work_card(run: Path, model: Path, *, hardware: str, note: str = "") -> None:
    """Write ``NAME.md`` beside a model file.

    Parameters
    ----------
    run : Path
        Folder of the run.
    model : Path
        The exported file.
    hardware : str
        What it was trained on, in plain words.
    note : str
        Sentences about the training.

    Raises
    ------
    StemsplitError
        The run is not finished, or the model file is missing or does not state its licence.
    """
    if not model.is_file():
        raise StemsplitError(f"{model} does not exist; run `python -m stemsplit.training export` first")
    state = load_state(run / "checkpoint.pt")
    network = network_of(state)
    targets = network.targets
    figures = _last_row(run / "curve.csv")
    settings, is_classifier = state["settings"], isinstance(network, PresenceNetwork)
    text = _TEMPLATE.format(
        name=model.stem,
        description=f"{', '.join(targets).capitalize()}, by {getattr(network, 'summary', network.name)}",
        targets=", ".join(targets),
        parameters=f"{sum(weight.numel() for weight in network.parameters()):,}",
        size=f"{model.stat().st_size / 1e6:.1f}",
        sha256=hash_file(model),
        licence=_read_licence(model),
        data="; ".join(f"{source} ({terms})" for source, terms in sorted(training_sources_in(state)))
        + "; sources and credits in [band.md](../band.md#data)",
        steps=state["step_number"],
        batch_size=settings["batch_size"],
        minutes=_describe_minutes(state["elapsed_s"], settings.get("clock", "wall")),
        optimiser=settings["optimiser"],
        learning_rate=settings["learning_rate"],
        precision=state["precision"] if network.uses_autocast else "float32",
        seed=settings["seed"],
        hardware=hardware,
        options=", ".join(
            f"{key} {value}" for key, value in network.options.items() if key != "targets" and value != ""
        ),
        adversary=_describe_adversary(settings.get("adversary", 0.0)),
        note=f"\n\n{note}" if note else "",
        use=_USE_OF_CLASSIFIER if is_classifier else _describe_use(model.stem, targets),
        figures="\n\n".join(
            filter(None, ("" if is_classifier else _scores(figures, targets), _own(figures)))
        ),
    )
    with whole_file(model.with_suffix(".md")) as file:
        file.write(text.encode())


def _read_licence(model: Path) -> str:
    """Return the licence of the weights, which an exported file states itself or in its description."""
    description = model.with_suffix(".toml")
    licence = read_metadata(model).get(f"{PREFIX}licence", "")
    if not licence and description.exists():
        licence = read_description(description).licence
    if not licence:
        raise StemsplitError(f"{model} does not state its licence; export it again")
    return licence


def _describe_use(name: str, targets: tuple[str, ...]) -> str:
    """Return where a model is used, and what is better where the bundled model has its targets."""
    has_better = bool(set(targets) & set(TARGETS))
    return _USE_OF_MODEL.format(name=name) + _BAND_IS_BETTER * has_better + "."


def _describe_minutes(elapsed_s: float, clock: str) -> str:
    """Return the time of a training, which a busy machine does not lengthen on the processor's clock."""
    unit = {"wall": "minutes", "processor": "processor minutes"}[clock]
    return f"{elapsed_s / 60:.0f} {unit}"


def _describe_adversary(weight: float) -> str:
    """Return a sentence about the discriminator of a training, where there was one."""
    return f"\nThe loss of not deceiving a discriminator had a weight of {weight:g}." if weight else ""


def _last_row(curve: Path) -> Mapping[str, Any]:
    try:
        rows = list(csv.DictReader(curve.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise StemsplitError(f"{curve} cannot be read ({error}); train the run to its end first") from error
    if not rows:
        raise StemsplitError(f"{curve} is empty; train the run to its end first")
    return rows[-1]


def _scores(figures: Mapping[str, Any], targets: tuple[str, ...]) -> str:
    """Return the table of scores."""
    return _SCORES.format(
        records=_RECORDS if any(key.startswith(f"{RECORDS_SOURCE} ") for key in figures) else "",
        columns=" | ".join(targets),
        rules="|".join("---" for _ in targets),
        rows="\n".join(_rows(figures, targets)),
    )


def _own(figures: Mapping[str, Any]) -> str:
    """Return a table of the figures of a kind of network, over the validation songs; empty if it has none."""
    names = [name for name in figures if any(word in name.split() for word in OWN_FIGURES)]
    rows = "\n".join(f"| {name} | {float(figures[name]):.3g} |" for name in names if figures[name])
    return f"| validation songs | |\n|---|---|\n{rows}" if rows else ""


def _rows(figures: Mapping[str, Any], targets: tuple[str, ...]) -> list[str]:
    """Return a line for each source of the validation songs, records first."""
    sources = dict.fromkeys(
        key.removesuffix(f" {target}") for key in figures for target in targets if key.endswith(f" {target}")
    )
    ordered = sorted(sources, key=lambda source: source != RECORDS_SOURCE)
    return [
        f"| {source} | " + " | ".join(_figure(figures.get(f"{source} {target}")) for target in targets) + " |"
        for source in ordered
    ]


def _figure(text: str | None) -> str:
    return f"{float(text):.2f}" if text else "-"
