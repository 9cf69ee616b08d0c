"""The ``fs`` server: files of a workspace, read and changed in the object store."""
