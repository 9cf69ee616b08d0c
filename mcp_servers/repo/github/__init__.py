"""GitHub, github.com or a server of one's own."""
