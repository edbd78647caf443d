"""The networks behind the trained fields: torch modules that know nothing of solvers, files or training."""
