"""`python -m coarsefine`: the same commands as `coarsefine`."""

if __name__ == "__main__":
    from coarsefine.search.cli import main  # here, since spawned worker processes import this module too

    main()
