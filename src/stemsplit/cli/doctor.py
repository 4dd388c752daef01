"""The ``doctor`` command: checks of the installation, models and devices, and how to repair them."""

import json
import platform
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stemsplit import __version__
from stemsplit.cli.console import show
from stemsplit.cli.exit import run_command
from stemsplit.cli.serve import EXTRA
from stemsplit.errors import DeviceError, ModelError, StemsplitError
from stemsplit.jobs.result import ExitStatus

if TYPE_CHECKING:
    from stemsplit.models.device import Device

# what every installation needs, besides PyAV and onnxruntime, which have checks of their own
PACKAGES = (
    "numpy",
    "scipy",
    "soundfile",
    "soxr",
    "librosa",
    "pyloudnorm",
    "mido",
    "mutagen",
    "platformdirs",
    "msgspec",
    "tomli-w",
    "filelock",
    "typer",
    "rich",
)
# never by name: the stemsplit of PyPI is another program
_REINSTALL = "pip install --force-reinstall . (in your clone of stemsplit)"


class Health(StrEnum):
    """State of a finding: ``missing`` is optional, ``broken`` prevents a separation."""

    OK = "ok"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Finding:
    """Result of one check; `fix` is a command or an action that repairs it."""

    subject: str
    health: Health
    detail: str
    fix: str | None = None

    def __str__(self) -> str:
        line = f"{self.health:<7}  {self.subject}: {self.detail}"
        return line + (f"\n         fix: {self.fix}" if self.fix else "")


doctor = typer.Typer(rich_markup_mode=None, add_completion=False)


@doctor.command()
def _doctor(json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False) -> None:
    """Check the installation, and show how to repair it."""
    run_command(lambda: run_doctor(as_json=json))


def run_doctor(*, as_json: bool) -> ExitStatus:
    """Print all findings; the exit code is 0 if songs can be separated."""
    findings = list(examine())
    healthy = all(finding.health is not Health.BROKEN for finding in findings)
    if as_json:
        report = {
            "version": __version__,
            "ok": healthy,
            "findings": [asdict(finding) for finding in findings],
        }
        show(json.dumps(report))
    else:
        show(*map(str, findings))
    return ExitStatus.OK if healthy else ExitStatus.FAILED


def examine() -> Iterator[Finding]:
    """Yield the results of all checks, the cheap ones first."""
    yield Finding(
        "python", Health.OK, f"{platform.python_version()} on {platform.platform()} ({platform.machine()})"
    )
    yield Finding("stemsplit", Health.OK, __version__)
    needed = [*map(_examine_package, PACKAGES), _examine_pyav(), _examine_onnxruntime()]
    yield from needed
    yield _examine_server()
    if any(finding.health is Health.BROKEN for finding in needed):
        return  # the other checks need these packages
    yield _examine_registry()
    models = list(_examine_models())
    yield from models
    if all(finding.health is Health.OK for finding in models):
        yield from _examine_devices()


def _find_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _examine_package(package: str) -> Finding:
    found = _find_version(package)
    if found is None:
        return Finding(package, Health.BROKEN, "not installed", _REINSTALL)
    return Finding(package, Health.OK, found)


def _examine_pyav() -> Finding:
    found = _find_version("av")
    if found is None:
        return Finding(
            "PyAV", Health.BROKEN, "not installed; it decodes mp3, m4a, FLAC, video and more", _REINSTALL
        )
    return Finding("PyAV", Health.OK, f"{found}, decodes mp3, m4a, FLAC, Ogg and video containers")


def _examine_server() -> Finding:
    found = {package.replace("_", "-"): _find_version(package) for package in EXTRA}
    if all(found.values()):
        packages = ", ".join(f"{package} {version}" for package, version in found.items())
        return Finding("serve", Health.OK, f"{packages}, serve the web page")
    detail = f"{' and '.join(package for package in found if not found[package])} not installed; no web page"
    return Finding("serve", Health.MISSING, detail, "pip install '.[serve]' (in your clone of stemsplit)")


def _examine_onnxruntime() -> Finding:
    """Check which build of onnxruntime is installed; two builds overwrite each other's files."""
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if _find_version(name)]
    if len(found) == 2:
        fix = "pip uninstall -y onnxruntime onnxruntime-gpu, then " + _REINSTALL
        return Finding(
            "onnxruntime", Health.BROKEN, "onnxruntime and onnxruntime-gpu are both installed", fix
        )
    try:
        import onnxruntime
    except ImportError as error:
        return Finding("onnxruntime", Health.BROKEN, f"cannot be imported: {error}", _REINSTALL)
    build = found[0] if found else "onnxruntime"
    providers = ", ".join(onnxruntime.get_available_providers())
    return Finding("onnxruntime", Health.OK, f"{onnxruntime.__version__} ({build}), offers {providers}")


def _examine_registry() -> Finding:
    """Report the folder of the user's models, their number and their size."""
    from stemsplit.registry.pull import DOWNLOADS, measure_folder
    from stemsplit.registry.store import Registry

    registry = Registry()
    try:
        names, n_bytes = registry.names(), measure_folder(registry.folder)
        left = measure_folder(registry.folder / DOWNLOADS)
    except (OSError, StemsplitError) as error:
        return Finding("your models", Health.BROKEN, str(error), "make the folder readable")
    detail = f"{len(names)} in {registry.folder}, {n_bytes / 1e6:.1f} MB"
    if left:
        unfinished = f"{detail}, {left / 1e6:.1f} MB of it unfinished downloads"
        return Finding("your models", Health.MISSING, unfinished, "stemsplit models prune")
    return Finding("your models", Health.OK, detail)


def _examine_models() -> Iterator[Finding]:
    from stemsplit.registry.installed import bundled_models, read_model

    try:
        paths = bundled_models()
    except StemsplitError as error:
        yield Finding("models", Health.BROKEN, str(error), _REINSTALL)
        return
    for path in paths:
        subject = f"model {path.name}"
        try:
            info = read_model(path)
        except StemsplitError as error:
            yield Finding(subject, Health.BROKEN, str(error), _REINSTALL)
            continue
        targets = ", ".join(info.spec.targets)
        yield Finding(subject, Health.OK, f"{info.name} {info.version} ({targets}), sha256 {info.sha256}")


def _examine_devices() -> Iterator[Finding]:
    import onnxruntime

    from stemsplit.models.device import BACKENDS, count_cuda_devices

    yield _examine_device("cpu", Health.BROKEN)
    # without a GPU there is nothing to repair
    yield _examine_device("cuda", Health.BROKEN if count_cuda_devices() else Health.MISSING)
    offered = onnxruntime.get_available_providers()
    for name, backend in BACKENDS.items():
        if name != "cuda" and backend.provider in offered:
            yield _examine_device(name, Health.MISSING)


def _examine_device(name: str, otherwise: Health) -> Finding:
    """Run a network on a device; the health is `otherwise` if it fails."""
    from stemsplit.models.device import choose_device
    from stemsplit.registry.installed import bundled_models

    try:
        device = choose_device(name)
        nodes = count_nodes(bundled_models()[0], device)
    except DeviceError as error:
        detail, _, fix = str(error).partition("; ")
        return Finding(f"device {name}", otherwise, detail, fix or None)
    except StemsplitError as error:
        return Finding(f"device {name}", Health.BROKEN, str(error), _REINSTALL)
    ran = ", ".join(f"{provider} {count}" for provider, count in nodes.most_common())
    wanted = device.providers[0][0]
    if not nodes[wanted]:
        return Finding(
            f"device {name}", Health.BROKEN, f"{wanted} ran nothing; nodes run by: {ran}", _REINSTALL
        )
    return Finding(f"device {name}", Health.OK, f"ran a test network; nodes run by: {ran}")


def count_nodes(model: Path, device: "Device") -> "Counter[str]":
    """Run `model` on silence with onnxruntime's profiler; return the number of nodes that each provider ran.

    Raises
    ------
    ModelError
        If the network cannot be opened or run.
    """
    import numpy as np
    import onnxruntime

    from stemsplit.registry.installed import read_spec

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        try:
            session = onnxruntime.InferenceSession(
                str(model), options, providers=device.providers, enable_fallback=0
            )
            lengths = {"mixture": 16, "present": read_spec(model).delay_frames + 16}
            silence = {}
            for each in session.get_inputs():
                *shape, last = (size if isinstance(size, int) else 1 for size in each.shape)
                silence[each.name] = np.zeros((*shape, lengths.get(each.name, last)), np.float32)
            session.run(["mask"], silence)
        except Exception as error:  # onnxruntime's own errors share no base class
            raise ModelError(f"{model}: the network failed: {error}") from error
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return Counter(_find_providers(events))


def _find_providers(events: Iterable[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        provider = event.get("args", {}).get("provider")
        if event.get("cat") == "Node" and provider:
            yield provider
