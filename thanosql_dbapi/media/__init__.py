"""Media files: from a path to numbers, and back. One module a kind."""
