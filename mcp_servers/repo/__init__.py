"""The ``repo`` server: branches, history, pushes and pull requests; the only holder of the forge's credential."""
