"""Write wheels of a few bytes. A project that has a copy of this file can use it as its build backend."""

import zipfile
from pathlib import Path


def write_wheel(folder, name, text=""):
    """Write the wheel of version 1 of a package that is one module; return its path."""
    path = Path(folder) / f"{name}-1-py3-none-any.whl"
    files = {
        f"{name}.py": text,
        f"{name}-1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{name}-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{name}-1.dist-info/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in {**files, f"{name}-1.dist-info/RECORD": record}.items():
            wheel.writestr(zipfile.ZipInfo(file), content)
    return path


def build_editable(wheel_directory, *_settings):
    """Build the project's wheel, as PEP 660 asks; return its name."""
    return write_wheel(wheel_directory, "checkout").name
