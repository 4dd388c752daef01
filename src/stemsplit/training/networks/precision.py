"""Precision of training: bfloat16 where the hardware supports it, else float32.

Emulated bfloat16 takes twice as long as float32.
"""

import torch

# Names of bfloat16 instructions in `torch.cpu.get_capabilities`, on x86 and on Arm.
_CPU_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def precision_on(device: str) -> torch.dtype:
    """Return the precision in which networks train on a kind of device, "cpu" or "cuda"."""
    if device == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = any(capabilities.get(name, False) for name in _CPU_INSTRUCTIONS)
    return torch.bfloat16 if has_bfloat16 else torch.float32


def autocast(device: str) -> torch.autocast:
    """Return the context in which a network computes in `precision_on` the device."""
    precision = precision_on(device)
    return torch.autocast(device, torch.bfloat16, enabled=precision == torch.bfloat16)
