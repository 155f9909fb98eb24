"""Put into a wheel the kernel's libraries of its platform, and into a source archive what the links point to.

A wheel for another computer is built by scripts/wheels, which names its platform in COARSEFINE_WHEEL.
"""

import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "src"))

from coarsefine.model.kernel.build import build, build_for, libraries_in  # noqa: E402 - found by the line above
from coarsefine.model.kernel.compilers import PLATFORMS, BuildError, this_platform  # noqa: E402

VARIABLE = "COARSEFINE_WHEEL"
_REMEDY = (
    "Without it training uses NumPy, which is slower. Install a C compiler, then run "
    "`python -m coarsefine.model.kernel.build` where Coarsefine is installed."
)


class KernelHook(BuildHookInterface[BuilderConfig]):
    """Compile the kernel, and say which files go into the archive or the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add files and the platform to `build_data`. `version` is `editable` for an editable install."""
        if self.target_name == "sdist":
            build_data["force_include"] |= {str(ROOT / name): f"src/coarsefine/{name}" for name in files_of_links()}
        elif tag := os.environ.get(VARIABLE):
            self._folder = tempfile.TemporaryDirectory(prefix="coarsefine-wheel-")
            add(build_data, tag, build_for(platform_of(tag), Path(self._folder.name)))
        elif self._is_built() and version != "editable":
            add(build_data, tag_here(), libraries_in().values())

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove temporary files."""
        if folder := getattr(self, "_folder", None):
            folder.cleanup()

    def _is_built(self) -> bool:
        """Compile the kernel for this computer; where that is not possible say so, and return False."""
        try:
            build(say=self.app.display_info)
        except BuildError as error:
            self.app.display_warning(f"The kernel is not built: {error}. {_REMEDY}")
            return False
        return bool(libraries_in())


def files_of_links() -> Iterable[str]:
    """Return the files of the folders that src/coarsefine links to, without what is compiled."""
    for folder in ("model", "search"):
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT)
            if path.is_file() and not {"__pycache__", "libraries"} & set(name.parts):
                yield name.as_posix()


def add(build_data: dict[str, Any], tag: str, libraries: Iterable[Path]) -> None:
    """Put libraries into a wheel, which is then for one platform and any Python 3."""
    build_data["pure_python"] = False
    build_data["tag"] = f"py3-none-{tag}"
    for path in libraries:
        build_data["force_include"][str(path)] = f"coarsefine/model/kernel/libraries/{path.name}"


def platform_of(tag: str) -> Any:
    """Return the platform of a tag."""
    for each in PLATFORMS:
        if each.tag == tag:
            return each
    raise ValueError(f"{VARIABLE} is “{tag}”: name one of {', '.join(each.tag for each in PLATFORMS)}.")


def tag_here() -> str:
    """Return this computer's platform tag. It is not manylinux: a library compiled here may need a newer C library."""
    here = this_platform()
    if here and here.system == "darwin":
        return here.tag
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
