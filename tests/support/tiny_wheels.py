"""Write wheels of a few bytes. A project that has a copy of this file can use it as its build backend."""

import zipfile
from pathlib import Path


def write_wheel(folder, name, text="", program=None):
    """Write the wheel of version 1 of a package; return its path.

    The package is one module with a text. With `program`, (file name, text), it is a folder with that executable file.
    """
    path = Path(folder) / f"{name}-1-py3-none-any.whl"
    files = {
        **({f"{name}/__init__.py": "", f"{name}/{program[0]}": program[1]} if program else {f"{name}.py": text}),
        f"{name}-1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{name}-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{name}-1.dist-info/RECORD"])
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in {**files, f"{name}-1.dist-info/RECORD": record}.items():
            info = zipfile.ZipInfo(file)
            info.external_attr = 0o100755 << 16
            wheel.writestr(info, content)
    return path


def build_editable(wheel_directory, *_settings):
    """Build the project's wheel, as PEP 660 asks; return its name."""
    return write_wheel(wheel_directory, "checkout").name
