"""How one task is run: the task table, values and files, and the runtimes."""
