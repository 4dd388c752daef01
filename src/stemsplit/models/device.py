"""The device that runs the networks: chosen once, checked, never changed silently.

``cpu`` is always there. The others either run or raise a `DeviceError` that says why not and what to
install; each belongs to one build of onnxruntime, and only one build can be installed. ``auto`` takes CUDA
where it works and the CPU elsewhere, and keeps the reason.
"""

import contextlib
import ctypes
import io
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from stemsplit.errors import DeviceError, ModelError, SettingsError
from stemsplit.models.package import find_int8_form

CUDA_FIX = "install the CUDA libraries: run `pip install '.[cuda]'` in your clone of stemsplit"
_SWAP = "pip uninstall onnxruntime onnxruntime-gpu, pip install"

# an ONNX model of one Identity node, from `a` to `b`
_IDENTITY = (
    b'\x08\x08\x12\x00:7\n\x10\n\x01a\x12\x01b"\x08Identity\x12\x01gZ\x0f\n\x01a\x12\n\n\x08\x08\x01\x12\x04'
    b"\n\x02\x08\x01b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)


@dataclass(frozen=True)
class Backend:
    """What runs networks on one kind of device.

    Parameters
    ----------
    provider
        Its name in onnxruntime.
    numbering
        The provider's option that takes the number of a device, and how it is written; None if there is
        no choice.
    build
        What to install if the installed onnxruntime has no such provider.
    libraries
        What to install if the provider is there and does not start.
    """

    provider: str
    numbering: tuple[str, str] | None
    build: str
    libraries: str


BACKENDS: Final[Mapping[str, Backend]] = MappingProxyType(
    {
        "cuda": Backend(
            "CUDAExecutionProvider",
            ("device_id", "{}"),
            "on Linux x86_64 and Windows: pip uninstall onnxruntime, pip install onnxruntime-gpu",
            CUDA_FIX,
        ),
        "tensorrt": Backend(
            "TensorrtExecutionProvider",
            ("device_id", "{}"),
            "on Linux x86_64 and Windows: pip uninstall onnxruntime, pip install onnxruntime-gpu",
            "install NVIDIA TensorRT of the version that this onnxruntime was built for, where the system "
            "looks for libraries",
        ),
        "openvino": Backend(
            "OpenVINOExecutionProvider",
            ("device_type", "GPU.{}"),
            f"on Linux x86_64 and Windows: {_SWAP} onnxruntime-openvino",
            "update the driver of the Intel device",
        ),
        "coreml": Backend(
            "CoreMLExecutionProvider",
            None,
            "on macOS: pip install onnxruntime",
            "update macOS",
        ),
        "directml": Backend(
            "DmlExecutionProvider",
            ("device_id", "{}"),
            f"on Windows: {_SWAP} onnxruntime-directml",
            "update the driver of the graphics card",
        ),
    }
)
_NVIDIA: Final = frozenset({"cuda", "tensorrt"})
_HALVING: Final = ("cuda", "directml")
_HINTS: Final = {
    "cpu": ", which is no faster with it",
    "tensorrt": ", which has --provider-option trt_fp16_enable=1",
    "openvino": ", which has --provider-option precision=FP16",
    "coreml": ", which chooses by itself",
}
_KINDS: Final = "auto, cpu, cuda, tensorrt, openvino, coreml or directml, and a number like cuda:1"


@dataclass(frozen=True)
class Device:
    """Where the networks run, and why there (for ``auto``); `options` are the provider's own.

    Without an `index` the provider chooses. With `half` matrix products, convolutions and recurrences are
    computed in float16, see `half_precision`; with `int8` the CPU runs the 8-bit forms of models, see
    `stemsplit.models.package.find_int8_form`.
    """

    kind: str
    index: int | None = 0
    reason: str = "asked for"
    options: tuple[tuple[str, str], ...] = ()
    half: bool = False
    int8: bool = False

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" or self.index is None else f"{self.kind}:{self.index}"

    @property
    def providers(self) -> list[tuple[str, dict[str, Any]]]:
        """onnxruntime's execution providers, the wanted one first."""
        cpu: tuple[str, dict[str, Any]] = ("CPUExecutionProvider", {})
        if self.kind == "cpu":
            return [cpu]
        first = (BACKENDS[self.kind].provider, self._numbered(self.kind) | dict(self.options))
        # TensorRT leaves to CUDA what it cannot do
        behind = [(BACKENDS["cuda"].provider, self._numbered("cuda"))] if self.kind == "tensorrt" else []
        return [first, *behind, cpu]

    def _numbered(self, kind: str) -> dict[str, str]:
        numbering = BACKENDS[kind].numbering
        if numbering is None or self.index is None:
            return {}
        return {numbering[0]: numbering[1].format(self.index)}

    @property
    def is_gpu(self) -> bool:
        """Whether several chunks at once are faster than one."""
        return self.kind in {"cuda", "tensorrt", "directml"}


def choose_device(
    text: str = "auto",
    options: Mapping[str, str] | None = None,
    *,
    half: bool = False,
    int8: bool = False,
) -> Device:
    """Return the device that `text` stands for: ``auto``, ``cpu`` or one of `BACKENDS`, as in ``cuda:1``.

    Parameters
    ----------
    options
        For the provider; see its documentation at onnxruntime.ai.
    half
        Compute in half precision.
    int8
        Compute in 8-bit integers if the device is the CPU; others stay as they are.

    Raises
    ------
    SettingsError
        If `text` is none of these, or has no options, or does not compute in half precision.
    DeviceError
        If what is asked for cannot run here.
    """
    kind, number = _parse(text)
    if options and kind in {"auto", "cpu"}:
        raise SettingsError(f"device {text!r} takes no --provider-option; name another with --device")
    if half and kind not in {"auto", *_HALVING}:
        raise SettingsError(f"--half is for the devices {' and '.join(_HALVING)}, not {kind}{_HINTS[kind]}")
    if kind == "cpu":
        return Device("cpu", int8=int8)
    if kind == "auto":
        problem = find_cuda_problem(0)
        if problem is None:
            return Device("cuda", 0, "a CUDA device is there", half=half)
        if half:
            raise DeviceError(f"--half needs a GPU (without it the CPU does the work): {problem}")
        return Device("cpu", reason=problem, int8=int8)
    index = 0 if number is None and kind in {*_NVIDIA, "directml"} else number
    device = Device(kind, index, options=tuple((options or {}).items()), half=half)
    problem = find_problem(device)
    if problem is not None:
        raise DeviceError(f"device {text!r} cannot be used (cpu can): {problem}")
    return device


def _parse(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"([a-z]+)(?::(\d{1,4}))?", text, flags=re.ASCII)
    kind = match[1] if match else ""
    numbered = match is not None and match[2] is not None
    if match is None or kind not in {"auto", "cpu", *BACKENDS}:
        raise SettingsError(f"unknown device {text!r}; use {_KINDS}")
    if numbered and (kind in {"auto", "cpu"} or BACKENDS[kind].numbering is None):
        raise SettingsError(f"unknown device {text!r}: {kind} has no numbers; use {_KINDS}")
    return kind, int(match[2]) if numbered else None


def find_problem(device: Device) -> str | None:
    """Return why `device` cannot run a network here and what would help; None if it can."""
    if device.kind in _NVIDIA:
        problem = find_cuda_problem(device.index or 0)
        if problem is not None or (device.kind == "cuda" and not device.options):
            return problem
    return _find_missing(device.kind) or _try(device)


def _find_missing(kind: str) -> str | None:
    import onnxruntime

    backend = BACKENDS[kind]
    if backend.provider in onnxruntime.get_available_providers():
        return None
    name = "CUDA" if kind == "cuda" else backend.provider
    return f"the installed onnxruntime {onnxruntime.__version__} has no {name} support; {backend.build}"


def find_cuda_problem(index: int = 0) -> str | None:
    """Return why CUDA device `index` cannot run a network here and what would help; None if it can."""
    missing = _find_missing("cuda")
    if missing is not None:
        return missing
    n_devices = count_cuda_devices()
    if n_devices == 0:
        return "no NVIDIA GPU or driver was found; nvidia-smi should list one"
    if index >= n_devices:
        return f"there are {n_devices} CUDA devices, numbered from 0; choose one of them"
    return _try(Device("cuda", index))


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


def _try(wanted: Device) -> str | None:
    """Let onnxruntime bring a device up with a network of one node; return why it cannot.

    That a provider's library can be loaded says little: the driver may be too old for it all the same.
    """
    import onnxruntime

    backend = BACKENDS[wanted.kind]
    name = "CUDA" if wanted.kind == "cuda" else backend.provider
    complaints = io.StringIO()
    if wanted.kind in _NVIDIA:
        with contextlib.redirect_stdout(complaints):
            onnxruntime.preload_dlls(directory="")
    try:
        session = _start_session(_IDENTITY, wanted)
    except Exception as error:  # noqa: BLE001 - onnxruntime's own errors share no base class
        # between onnxruntime's own source position and CUDA's
        cause = str(error).rpartition(" : FAIL : ")[2].partition(" ; ")[0]
        update = "update the NVIDIA driver, or " if wanted.kind in _NVIDIA else ""
        options = "leave --provider-option out, or " if wanted.options else ""
        return f"onnxruntime cannot start {name} ({cause}); {options}{update}{backend.libraries}"
    if session.get_providers()[0] == backend.provider:
        return None
    missing = complaints.getvalue().strip().partition("\n")[0] or "its provider did not load"
    return f"onnxruntime cannot start {name} ({missing}); {backend.libraries}"


def _start_session(model: str | bytes, device: Device, threads: int | None = None) -> Any:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    # the last chunk of a song has a shape of its own: plans of memory for each shape would pile up
    options.enable_mem_pattern = False
    # planning which buffers share memory takes longer than all else that opens a small model, and gains
    # nothing: with HTDemucs it doubles the peak
    options.enable_mem_reuse = device.kind != "cpu"
    # idle network threads would take the cores from decoding and writing
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # without this a provider that fails to start is reported on standard output and left out
    return onnxruntime.InferenceSession(model, options, providers=device.providers, enable_fallback=0)


def open_session(path: Path, device: Device, *, threads: int | None = None) -> Any:
    """Open an ``onnxruntime.InferenceSession`` that really runs on `device`.

    Raises
    ------
    ModelError
        If onnxruntime cannot read the file, or half precision cannot hold it.
    DeviceError
        If the session came up without the provider that was asked for.
    """
    form = (find_int8_form(path) if device.int8 else None) or path
    model: str | bytes = str(form)
    if device.half:
        from stemsplit.models.half_precision import read_halved  # few runs need it

        model = read_halved(path)
    try:
        session = _start_session(model, device, threads)
    except Exception as error:  # onnxruntime's own errors share no base class
        raise ModelError(f"{path}: not a model that onnxruntime can run: {error}") from error
    wanted = device.providers[0][0]
    if session.get_providers()[0] != wanted:
        raise DeviceError(
            f"device {device} cannot be used: onnxruntime left {wanted} out and offers "
            f"{', '.join(session.get_providers())}; {BACKENDS[device.kind].libraries}"
        )
    return session
