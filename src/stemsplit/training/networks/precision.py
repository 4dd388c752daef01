"""The numbers that networks train in: bfloat16 where the hardware computes in it, else float32.

What a processor has to emulate takes it twice as long as float32.
"""

import torch

# Names that `torch.cpu.get_capabilities` has for instructions on bfloat16, on x86 and on Arm.
_CPU_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def precision_on(device: str) -> torch.dtype:
    """What a network computes in while it trains on a kind of device, "cpu" or "cuda"."""
    if device == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = any(capabilities.get(name, False) for name in _CPU_INSTRUCTIONS)
    return torch.bfloat16 if has_bfloat16 else torch.float32


def autocast(device: str) -> torch.autocast:
    """Context in which a network computes in `precision_on` the device."""
    precision = precision_on(device)
    return torch.autocast(device, torch.bfloat16, enabled=precision == torch.bfloat16)
