"""The state machine: what happens, in which order."""
