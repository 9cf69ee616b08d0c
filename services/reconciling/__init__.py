"""After a restore: what the run store, Temporal, the forge, the remotes and the mirrors say of each task is brought together."""
