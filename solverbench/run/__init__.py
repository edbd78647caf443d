"""Running suites: cells, the runner, the folder a run leaves behind."""
