"""Use cases: what may be done, in which transaction, and who is told."""
