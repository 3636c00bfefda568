"""Where a model runs and in which number format, chosen by what the machine has."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import torch

from pluralism.errors import UsageError

__all__ = ["DTYPES", "choose_device", "choose_dtype", "processor_has_bfloat16"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str = "auto") -> str:
    """Resolve ``"auto"`` to ``"cuda"``, ``"mps"`` or ``"cpu"``; check that a named device is there.

    Raises
    ------
    UsageError
        The device is unknown or absent.
    """
    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as cause:
        raise UsageError(f"Unknown device {device!r}.", fix="Use auto, cpu, cuda, cuda:1 or mps.") from cause
    absent = (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not has_mps)
    if absent or kind not in ("cpu", "cuda", "mps"):
        raise UsageError(f"The device {device!r} is not available here.", fix="Use device='auto' or device='cpu'.")
    return device


def choose_dtype(dtype: str, device: str) -> str:
    """Resolve ``"auto"`` to the fastest format that keeps the vectors (cosine above .9995 to float32).

    That is bfloat16 on CUDA devices and on processors that multiply it natively, float16 on older CUDA devices,
    float32 elsewhere: emulated bfloat16 is slower than float32.

    Raises
    ------
    UsageError
        An unknown format.
    """
    if dtype == "auto":
        if device.startswith("cuda"):
            return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        return "bfloat16" if device == "cpu" and processor_has_bfloat16() else "float32"
    if dtype not in DTYPES:
        raise UsageError(f"Unknown dtype {dtype!r}.", fix=f"Use auto, {', '.join(DTYPES)}.")
    return dtype


@functools.cache
def processor_has_bfloat16() -> bool:
    """Whether an x86 processor multiplies bfloat16 natively (AVX512-BF16 or AMX-BF16)."""
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return False
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "").split()
        return "avx512_bf16" in flags or "amx_bf16" in flags
    ask = getattr(torch.cpu, "get_capabilities", None)
    return ask is not None and any(ask().get(flag) for flag in ("avx512_bf16", "amx_bf16"))
