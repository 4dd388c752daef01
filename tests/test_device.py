"""Devices: what is asked for is what runs, or an error says why not."""

from pathlib import Path

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
