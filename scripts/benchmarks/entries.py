"""Who is timed side by side: Coarsefine in its variants, and its peers with the targets against each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.findings import Target
from benchmarks.kernels import AVX2, AVX512, title

INSTALL = {"torch": "torch>=2.9", "jax": "jax>=0.7", "sklearn": "scikit-learn>=1.7"}
"""The requirement of each package that a peer needs."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender."""

    title: str
    contender: str
    package: str = "numpy"
    """The package that must be importable."""
    everywhere: bool = False
    """Whether it runs one process on every core at once."""
    way: dict[str, Any] | None = None
    """The only way to time; None for the fastest one."""
    kernel: str | None = None
    """The kernel of a contender of ours; None for a peer."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """How many times as fast Coarsefine should be with each kernel."""
    rival: str = "ours"
    """The contender of ours that it is compared with."""

    def target(self, kernel: str) -> Target | None:
        """Return the target of the ratio with a kernel."""
        return Target(self.targets[kernel], "at least") if kernel in self.targets else None


_OURS = {
    "ours": Entry("Coarsefine, training alone", "coarsefine"),
    "one trial": Entry("Coarsefine, one trial alone", "coarsefine", way={"width": 1}),
    "ours, all cores": Entry("Coarsefine, training alone, all cores", "coarsefine", everywhere=True),
    "stage": Entry("Coarsefine through storage, all cores", "stage", everywhere=True),
}
_PEERS = {
    "plain": Entry("plain NumPy, float64, one trial", "plain", targets={AVX512: 5.5, AVX2: 4.5}),
    "sklearn": Entry("scikit-learn MLPClassifier, one trial", "sklearn", "sklearn", targets={AVX512: 3.3, AVX2: 2.5}),
    "torch": Entry("PyTorch, one trial", "torch", "torch"),
    "optuna": Entry(
        "Optuna + PyTorch, one at a time, all cores",
        "optuna", "torch", everywhere=True, targets={AVX512: 3.3, AVX2: 2.5}, rival="stage",
    ),
    "torch-stacked": Entry("PyTorch, stacked", "torch-stacked", "torch", targets={AVX512: 1.35}),
    "jax": Entry("JAX, vmap + jit", "jax", "jax", targets={AVX512: 1.35}),
}  # fmt: skip
ALONE = Entry("PyTorch, one trial, against one of ours alone", "", targets={AVX512: 1.8, AVX2: 1.5}, rival="one trial")
"""Compares two of the entries."""
FORCED_TOO = ("ours", "one trial", "stage")
"""Entries of ours that are also timed with the slower kernel."""


def entries_of(kernels: tuple[str, ...]) -> dict[str, Entry]:
    """Return all contenders: ours with the first kernel, some of ours with the second if there is one, and peers."""
    used, *slower = kernels
    found = {name: replace(entry, kernel=used) for name, entry in _OURS.items()}
    for kernel in slower[:1]:
        found |= {
            forced(name): replace(_OURS[name], kernel=kernel, title=f"{_OURS[name].title}, {title(kernel)}")
            for name in FORCED_TOO
        }
    return found | _PEERS


def forced(name: str) -> str:
    """Return the name of the entry that does the same with the slower kernel."""
    return f"{name}, slower kernel"
