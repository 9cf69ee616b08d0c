"""The model ledger: the only process that holds provider keys. Each model call is written down before it goes out."""
