"""Plan -> Outcomes."""
