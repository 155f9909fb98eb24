"""Describe the machine and the library versions of a measurement."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.processes import CAN_PIN, ONE_THREAD, cores

_PACKAGES = ("numpy", "scipy", "optuna", "scikit-learn", "torch", "jax", "jaxlib")


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, memory and load at the start of the measurement."""
    return {
        "processor": _processor(),
        "cores": len(cores()),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "pinned": CAN_PIN,
        "environment": ONE_THREAD,
    }


def describe_versions() -> dict[str, str | None]:
    """Return the versions of all compared libraries; None for a library that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
