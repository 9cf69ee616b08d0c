"""The ``runner`` server: commands and checks in a sandbox; the only holder of the container engine."""
