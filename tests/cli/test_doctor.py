"""The doctor: every finding from a machine that has it, and the fix where it has not."""

import re
import tomllib
from collections import Counter
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from stemsplit.cli import doctor
from stemsplit.cli.doctor import Finding, Health, count_nodes
from stemsplit.cli.serve import EXTRA
from stemsplit.models.device import Device
from tests.support import ROOT
from tests.support.cli import call


@pytest.fixture(autouse=True)
def _one_tiny_model(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemsplit.registry.installed.bundled_models", lambda: [tiny_model])
    monkeypatch.setattr("stemsplit.models.device.count_cuda_devices", lambda: 0)


def find(subject: str) -> Finding:
    """Return one finding."""
    return next(finding for finding in doctor.examine() if finding.subject == subject)


def pretend(**versions: str | None) -> Callable[[str], str]:
    """Return a `version` that knows better; None is not installed."""

    def look(package: str) -> str:
        found = versions.get(package.replace("-", "_"), "unchanged")
        if found is None:
            raise PackageNotFoundError(package)
        return version(package) if found == "unchanged" else found

    return look


def test_a_healthy_machine_is_0() -> None:
    shown = call("doctor")
    assert shown.code == 0
    assert "broken" not in shown.text
    for subject in ("python", "stemsplit", "numpy", "onnxruntime", "PyAV", "model tiny.onnx", "device cpu"):
        assert f"  {subject}: " in shown.text


def test_json_says_the_same() -> None:
    (report,) = call("doctor", "--json").records
    assert report["ok"] is True
    subjects = {finding["subject"]: finding for finding in report["findings"]}
    assert subjects["device cpu"]["health"] == "ok"
    assert subjects["device cuda"]["health"] == "missing"
    assert subjects["model tiny.onnx"]["detail"].startswith("tiny 1 (vocals, drums, bass, other), sha256 ")


def test_the_provider_that_really_ran_is_counted(tiny_model: Path) -> None:
    nodes = count_nodes(tiny_model, Device("cpu"))
    assert set(nodes) == {"CPUExecutionProvider"}
    assert nodes["CPUExecutionProvider"] >= 3
    assert "CPUExecutionProvider" in find("device cpu").detail


def test_a_provider_that_ran_nothing_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemsplit.models.device.find_cuda_problem", lambda _index=0: None)
    monkeypatch.setattr("stemsplit.models.device.count_cuda_devices", lambda: 1)
    monkeypatch.setattr("stemsplit.cli.doctor.count_nodes", lambda *_: Counter(CPUExecutionProvider=3))
    finding = find("device cuda")
    assert finding.health is Health.BROKEN
    assert finding.detail == "CUDAExecutionProvider ran nothing; nodes run by: CPUExecutionProvider 3"


def test_a_gpu_that_does_not_run_is_broken_and_says_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "stemsplit.models.device.find_cuda_problem", lambda _index=0: "no libcudnn; install it"
    )
    monkeypatch.setattr("stemsplit.models.device.count_cuda_devices", lambda: 1)
    finding = find("device cuda")
    assert finding.health is Health.BROKEN
    assert "no libcudnn" in finding.detail
    assert finding.fix == "install it"
    assert call("doctor").code == 1


def test_a_missing_package_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", pretend(soxr=None))
    assert find("soxr").health is Health.BROKEN
    assert "pip install" in (find("soxr").fix or "")


def test_every_package_that_is_declared_is_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def name_all(requirements: list[str]) -> set[str]:
        return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}

    own_checks = {"av", "onnxruntime", "onnxruntime-gpu"}
    assert set(doctor.PACKAGES) == name_all(project["dependencies"]) - own_checks
    serving = find("serve").detail
    assert {name for name in name_all(project["optional-dependencies"]["serve"]) if name in serving} == {
        name.replace("_", "-") for name in EXTRA
    }


@pytest.mark.parametrize("package", EXTRA)
def test_the_page_needs_every_package_of_its_extra(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", pretend(**{package: None}))
    finding = find("serve")
    assert finding.health is Health.MISSING
    assert finding.detail == f"{package.replace('_', '-')} not installed; no web page"


def test_what_needs_a_missing_package_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", pretend(msgspec=None))
    *_, last = doctor.examine()
    assert last.subject == "serve"
    assert call("doctor").code == 1


def test_without_pyav_the_installation_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", pretend(av=None))
    assert find("PyAV").health is Health.BROKEN
    assert "pip install" in (find("PyAV").fix or "")


def test_no_advice_installs_the_other_program_that_has_this_name_on_pypi() -> None:
    root = ROOT
    pages = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("models/*.md")]
    for path in [*pages, *root.glob("src/stemsplit/**/*.py")]:
        advice = re.findall(r"pip install[^\n`(#]*", path.read_text(encoding="utf-8"))
        assert not [line for line in advice if "stemsplit" in line.partition("&&")[0]], path


def test_two_onnxruntimes_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", pretend(onnxruntime="1.31.1", onnxruntime_gpu="1.31.1"))
    finding = find("onnxruntime")
    assert finding.health is Health.BROKEN
    assert "both installed" in finding.detail


def test_a_damaged_model_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"no model")
    monkeypatch.setattr("stemsplit.registry.installed.bundled_models", lambda: [damaged])
    assert find("model damaged.onnx").health is Health.BROKEN
    shown = call("doctor")
    assert shown.code == 1
    assert "fix: " in shown.text
