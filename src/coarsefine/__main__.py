"""`python -m coarsefine`: the same commands as `coarsefine`."""

_IMPORTED_LATER = (
    "anyio._backends._asyncio",
    "coarsefine.search.cli.doctor",
    "coarsefine.search.report",
    "coarsefine.search.server",
    "coarsefine.search.terminal.live_view",
    "kaleido",
    "optuna_dashboard",
)
"""Modules that commands import when they run, and that need modules of the standard library."""

if __name__ == "__main__":  # worker processes import this module, too
    from coarsefine._shadowing import import_unshadowed
    from coarsefine.search.cli import main

    import_unshadowed(_IMPORTED_LATER)
    main()
