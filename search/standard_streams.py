"""The standard streams of this process, some of which its caller may have closed."""

import os

_LAST = 2
"""The descriptor of standard error."""


def fill_standard_streams() -> None:
    """Let standard streams that are closed lead nowhere, in this process and in those that it starts.

    The next file that is opened, or a socket to another process, would replace them.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        os.set_inheritable(opened, True)
    os.close(opened)
