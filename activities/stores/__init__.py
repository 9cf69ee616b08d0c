"""What outlives a process: the run store, the journal and the artifacts."""
