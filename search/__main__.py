"""`python -m search`: the same commands as `coarsefine`."""

from search.cli import main

if __name__ == "__main__":
    main()
