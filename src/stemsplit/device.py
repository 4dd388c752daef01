"""The device that runs the networks: chosen once, checked, never changed silently.

``cpu`` is always there. ``cuda`` and ``cuda:N`` either run or raise a `DeviceError` that says why not and
what to install. ``auto`` takes CUDA where it works and the CPU elsewhere, and keeps the reason.
"""

import contextlib
import ctypes
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemsplit.errors import DeviceError, ModelError, SettingsError

CUDA_FIX = "install the CUDA libraries with: pip install 'stemsplit[cuda]'"

# an ONNX model of one Identity node, from `a` to `b`
_IDENTITY = (
    b'\x08\x08\x12\x00:7\n\x10\n\x01a\x12\x01b"\x08Identity\x12\x01gZ\x0f\n\x01a\x12\n\n\x08\x08\x01\x12\x04'
    b"\n\x02\x08\x01b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)


@dataclass(frozen=True)
class Device:
    """Where the networks run, and why there (for ``auto``)."""

    kind: str
    index: int = 0
    reason: str = "asked for"

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"

    @property
    def providers(self) -> list[tuple[str, dict[str, Any]]]:
        """onnxruntime's execution providers, the wanted one first."""
        cpu: tuple[str, dict[str, Any]] = ("CPUExecutionProvider", {})
        if self.kind == "cpu":
            return [cpu]
        return [("CUDAExecutionProvider", {"device_id": self.index}), cpu]


def choose_device(text: str = "auto") -> Device:
    """Return the device that `text` (``auto``, ``cpu``, ``cuda`` or ``cuda:N``) stands for.

    Raises
    ------
    SettingsError
        If `text` is none of these.
    DeviceError
        If CUDA is asked for and cannot run here.
    """
    kind, _, number = text.partition(":")
    if kind not in {"auto", "cpu", "cuda"} or (number and (kind != "cuda" or not number.isdecimal())):
        raise SettingsError(f"unknown device {text!r}; use auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return Device("cpu")
    index = int(number or 0)
    problem = find_cuda_problem(index)
    if problem is None:
        return Device("cuda", index, "asked for" if kind == "cuda" else "a CUDA device is there")
    if kind == "cuda":
        raise DeviceError(f"device {text!r} cannot be used (cpu can): {problem}")
    return Device("cpu", reason=problem)


def find_cuda_problem(index: int = 0) -> str | None:
    """Return why CUDA device `index` cannot run a network here and what would help; None if it can."""
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return (
            f"the installed onnxruntime {onnxruntime.__version__} has no CUDA support; "
            "on Linux x86_64 and Windows: pip uninstall onnxruntime, pip install onnxruntime-gpu"
        )
    n_devices = count_cuda_devices()
    if n_devices == 0:
        return "no NVIDIA GPU or driver was found; nvidia-smi should list one"
    if index >= n_devices:
        return f"there are {n_devices} CUDA devices, numbered from 0; choose one of them"
    return _try_cuda(index)


def count_cuda_devices() -> int:
    """Ask the NVIDIA driver how many devices it has; 0 without a driver."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def _try_cuda(index: int) -> str | None:
    """Let onnxruntime bring CUDA up with a network of one node; return why it cannot.

    That a provider's library can be loaded says little: the driver may be too old for it all the same.
    """
    import onnxruntime

    complaints = io.StringIO()
    with contextlib.redirect_stdout(complaints):
        onnxruntime.preload_dlls(directory="")
    wanted = Device("cuda", index)
    try:
        session = _start_session(_IDENTITY, wanted)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no base class
        # between onnxruntime's own source position and CUDA's
        cause = str(error).rpartition(" : FAIL : ")[2].partition(" ; ")[0]
        return f"onnxruntime cannot start CUDA ({cause}); update the NVIDIA driver, or {CUDA_FIX}"
    if session.get_providers()[0] == wanted.providers[0][0]:
        return None
    missing = complaints.getvalue().strip().partition("\n")[0] or "its provider did not load"
    return f"onnxruntime cannot start CUDA ({missing}); {CUDA_FIX}"


def _start_session(model: str | bytes, device: Device, threads: int | None = None) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # the last chunk of a song has a shape of its own: plans of memory for each shape would pile up
    options.enable_mem_pattern = False
    # idle network threads would take the cores from decoding and writing
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # without this a provider that fails to start is reported on standard output and left out
    return onnxruntime.InferenceSession(model, options, providers=device.providers, enable_fallback=0)


def open_session(path: Path, device: Device, *, threads: int | None = None) -> Any:
    """Open an ``onnxruntime.InferenceSession`` that really runs on `device`.

    Raises
    ------
    ModelError
        If onnxruntime cannot read the file.
    DeviceError
        If the session came up without the provider that was asked for.
    """
    try:
        session = _start_session(str(path), device, threads)
    except Exception as error:  # onnxruntime's own errors share no base class
        raise ModelError(f"{path}: not a model that onnxruntime can run: {error}") from error
    wanted = device.providers[0][0]
    if session.get_providers()[0] != wanted:
        raise DeviceError(
            f"device {device} cannot be used: onnxruntime left {wanted} out and offers "
            f"{', '.join(session.get_providers())}; {CUDA_FIX}"
        )
    return session
