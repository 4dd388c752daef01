"""A description of the machine and the models of a measurement."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("stemsplit-cli", "onnxruntime", "onnxruntime-gpu", "numpy", "scipy", "soxr", "soundfile", "torch"),
    *("openunmix", "demucs", "audio-separator"),
)


def describe_machine() -> dict[str, Any]:
    """Return the processor, cores, memory, versions and load of this machine."""
    return {
        "processor": _processor(),
        "cores": count_cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "packages": _versions(),
    }


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_models() -> list[dict[str, str]]:
    """Return name, version and checksum of the bundled models."""
    from stemsplit.registry.installed import bundled_models, read_model

    infos = [read_model(path) for path in bundled_models()]
    return [{"name": info.name, "version": info.version, "sha256": info.sha256} for info in infos]


def _processor() -> str:
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
