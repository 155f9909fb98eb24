"""The training kernel in C: how it is built, loaded and called. `source/kernel.c` explains how it works."""
