"""Devices: what is asked for is what runs, or an error says why not."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit import device as device_module
from stemsplit.device import Device, choose_device, count_cuda_devices, open_session
from stemsplit.errors import DeviceError, SettingsError

NO_GPU = count_cuda_devices() == 0


@pytest.mark.parametrize("text", ["gpu", "cuda:x", "cpu:1", "", "cuda:-1", "auto:0"])
def test_unknown_device_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="auto, cpu, cuda"):
        choose_device(text)


def test_cpu_is_cpu() -> None:
    assert str(choose_device("cpu")) == "cpu"


def test_cuda_without_a_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "count_cuda_devices", lambda: 0)
    with pytest.raises(DeviceError, match=r"'cuda:0' cannot be used .*(nvidia-smi|onnxruntime-gpu)"):
        choose_device("cuda:0")


def test_auto_falls_back_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "count_cuda_devices", lambda: 0)
    chosen = choose_device("auto")
    assert str(chosen) == "cpu"
    assert "GPU" in chosen.reason or "CUDA" in chosen.reason


def test_device_number_out_of_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "count_cuda_devices", lambda: 1)
    with pytest.raises(DeviceError, match=r"1 CUDA devices|no CUDA support"):
        choose_device("cuda:3")


def test_session_without_the_provider_is_an_error(tiny_model: Path) -> None:
    """onnxruntime itself only warns here and would run on the CPU."""
    if not NO_GPU:
        assert open_session(tiny_model, Device("cuda")).get_providers()[0] == "CUDAExecutionProvider"
        return
    with pytest.raises(DeviceError, match="CUDAExecutionProvider"):
        open_session(tiny_model, Device("cuda"))


def test_the_probe_runs_a_network_on_the_device_that_it_is_given() -> None:
    session = device_module._start_session(device_module._IDENTITY, Device("cpu"))
    assert session.run(None, {"a": np.array([3], dtype=np.float32)}) == [np.array([3], dtype=np.float32)]


@pytest.mark.skipif(not NO_GPU, reason="needs a machine on which CUDA cannot start")
def test_a_gpu_that_cannot_be_started_is_an_error_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "count_cuda_devices", lambda: 1)
    with pytest.raises(DeviceError, match=r"cannot start CUDA|no CUDA support"):
        choose_device("cuda")
    assert str(choose_device("auto")) == "cpu"


def test_a_provider_that_fails_to_start_says_so_on_no_stream(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output is for results; onnxruntime's own fallback would print there."""
    cause = "x.cc:63 [ONNXRuntimeError] : 1 : FAIL : CUDA failure 35: driver too old ; GPU=-1"

    def fail(*_: object, **options: object) -> None:
        assert options["enable_fallback"] == 0
        raise RuntimeError(cause)

    monkeypatch.setattr("onnxruntime.InferenceSession", fail)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda **_: print("noise"), raising=False)
    monkeypatch.setattr(device_module, "count_cuda_devices", lambda: 1)
    with pytest.raises(DeviceError, match=r"\(CUDA failure 35: driver too old\); update the NVIDIA driver"):
        choose_device("cuda")
    assert capfd.readouterr() == ("", "")
