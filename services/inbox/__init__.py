"""What forges and ticket systems tell us: read tolerantly, and taken as hints alone."""
