"""The contenders. Each module is imported in its own process and uses one library as its users would."""
