"""The command line: ``./patchwright COMMAND``.

``app`` puts the commands together and turns failures into one or two lines; ``service`` is the HTTP client of a running
service; the other files are one group of commands each, in the order of ``--help``.
"""
