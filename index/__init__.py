"""Which models there are, and which fit a task."""
