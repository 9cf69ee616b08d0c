"""Documentation from the web, for agents: the only way out, and only to hosts on a list."""
