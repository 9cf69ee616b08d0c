"""MCP servers of other people: run as untrusted code or reached elsewhere, pinned, limited, and passed on under one roof."""
