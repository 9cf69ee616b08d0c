"""Credentials for those who are on a secret's list, for a purpose and for a while; each hand-out is written down."""
