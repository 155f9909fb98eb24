"""The kernels that a machine can run: the one that trains on it, and slower ones that can be forced for comparison."""

from coarsefine.model.kernel.build import libraries_in
from coarsefine.model.kernel.library import load

AVX512, AVX2, NUMPY = "x86-64-v4", "x86-64-v3", "none"
"""Names as COARSEFINE_KERNEL takes them; NUMPY is the path that trains where there is no kernel."""
_TITLES = {AVX512: "AVX-512", AVX2: "AVX2", "aarch64": "NEON", NUMPY: "no kernel"}


def kernels() -> tuple[str, ...]:
    """Return the instruction sets of the kernels that can be measured here, Coarsefine's choice first."""
    library = load()
    if library is None:
        return (NUMPY,)
    names = [each.name for each, path in libraries_in().items() if path.exists() and each.is_current(path)]
    return tuple(names[names.index(library.instruction_set) :])


def title(kernel: str) -> str:
    """Return the name by which people know a kernel's instructions."""
    return _TITLES.get(kernel, kernel)
