"""The capability to find code: an index of blobs and the tools that ask it."""
