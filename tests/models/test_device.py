"""Devices: what is asked for is what runs, or an error says why not."""

from pathlib import Path

import numpy as np
import pytest

from stemsplit.errors import DeviceError, SettingsError
from stemsplit.models import device as device_module
from stemsplit.models.device import Device, choose_device, count_cuda_devices, open_session

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


class StandIn:
    """An onnxruntime that offers and starts what it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, offered: list[str], started: list[str]) -> None:
        self.asked: list[object] = []
        monkeypatch.setattr("onnxruntime.get_available_providers", lambda: offered)
        monkeypatch.setattr("onnxruntime.preload_dlls", lambda **_: None, raising=False)
        monkeypatch.setattr(device_module, "count_cuda_devices", lambda: 2)
        stand_in = self

        class Session:
            def __init__(self, *_: object, providers: list[object], **__: object) -> None:
                stand_in.asked = providers

            def get_providers(self) -> list[str]:
                return [*started, "CPUExecutionProvider"]

        monkeypatch.setattr("onnxruntime.InferenceSession", Session)


PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_provider_of_another_build_is_an_error_with_what_to_install(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    StandIn(monkeypatch, ["CUDAExecutionProvider"], ["CUDAExecutionProvider"])
    with pytest.raises(DeviceError, match=rf"'{kind}' cannot be used .*has no {PROVIDERS[kind]}.*pip"):
        choose_device(kind)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_provider_that_does_not_start_is_an_error(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    StandIn(monkeypatch, ["CUDAExecutionProvider", PROVIDERS[kind]], ["CUDAExecutionProvider"])
    with pytest.raises(DeviceError, match=r"cannot start .*; (install|update)"):
        choose_device(kind)


@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_provider_that_starts_is_taken(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = ["CUDAExecutionProvider"] if kind == "tensorrt" else []
    runtime = StandIn(monkeypatch, [PROVIDERS[kind], *cuda], [PROVIDERS[kind]])
    if kind == "tensorrt":  # which needs CUDA to work as well
        monkeypatch.setattr(device_module, "find_cuda_problem", lambda _index: None)
    device = choose_device(kind, {"precision": "FP16"})
    assert str(device) == (f"{kind}:0" if kind in {"tensorrt", "directml"} else kind)
    assert runtime.asked == device.providers
    name, options = device.providers[0]
    assert name == PROVIDERS[kind]
    assert options["precision"] == "FP16"
    assert device.providers[-1][0] == "CPUExecutionProvider"


def test_devices_are_numbered_in_each_providers_way() -> None:
    assert Device("openvino", 1).providers[0][1] == {"device_type": "GPU.1"}
    assert Device("directml", 1).providers[0][1] == {"device_id": "1"}
    assert [options for _, options in Device("tensorrt", 1).providers] == [
        {"device_id": "1"},
        {"device_id": "1"},
        {},
    ]


@pytest.mark.parametrize("text", ["coreml:0", "openvino:x", "directml:", "tensorrt:-1"])
def test_a_number_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="unknown device"):
        choose_device(text)


@pytest.mark.parametrize("text", ["cpu", "auto"])
def test_options_need_a_device_that_has_some(text: str) -> None:
    with pytest.raises(SettingsError, match="takes no --provider-option"):
        choose_device(text, {"x": "1"})


def test_an_option_that_cuda_does_not_take_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("x : FAIL : unknown option 'colour' ; here")

    StandIn(monkeypatch, ["CUDAExecutionProvider"], [])
    monkeypatch.setattr(device_module, "find_cuda_problem", lambda _index: None)
    monkeypatch.setattr("onnxruntime.InferenceSession", fail)
    with pytest.raises(DeviceError, match=r"unknown option 'colour'\); leave --provider-option out"):
        choose_device("cuda", {"colour": "red"})
