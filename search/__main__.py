"""`python -m search`: the same commands as `coarsefine`."""

if __name__ == "__main__":
    from search.cli import main  # not in worker processes, which import this module too, and begin the sooner

    main()
