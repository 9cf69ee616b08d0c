"""Holding a pull request's evidence against signatures, logs, the repository, and a second run of its own."""
