"""Networks train in bfloat16 where the hardware has it, and only there."""

import pytest

pytest.importorskip("torch")

import torch

from stemsplit.training.networks.precision import autocast, precision_on


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Capabilities of the processor, which the test can change."""
    able: dict[str, bool] = {"avx512_f": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    return able


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16", "sve_bf16"])
def test_a_processor_with_bfloat16_trains_in_it(processor: dict[str, bool], instructions: str) -> None:
    processor[instructions] = True
    assert precision_on("cpu") == torch.bfloat16
    with autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_a_processor_without_it_trains_in_float32(processor: dict[str, bool]) -> None:
    processor["avx512_bf16"] = False
    assert precision_on("cpu") == torch.float32
    with autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize(("has_it", "precision"), [(True, torch.bfloat16), (False, torch.float32)])
def test_emulated_bfloat16_of_a_gpu_is_not_used(
    monkeypatch: pytest.MonkeyPatch, has_it: bool, precision: torch.dtype
) -> None:
    def is_supported(including_emulation: bool = True) -> bool:
        return has_it or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert precision_on("cuda") == precision
