"""The evidence ledger: keys, envelopes, and the claims of a pull request."""
