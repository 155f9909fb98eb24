"""Install Coarsefine and the packages of the hashed locks into `.venv`; `scripts/setup` starts this.

It runs before anything is installed, so it uses the standard library alone, and what compiles the kernel.
"""
