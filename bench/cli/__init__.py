"""The command line: one file per group of commands; each command is one call of a function."""
