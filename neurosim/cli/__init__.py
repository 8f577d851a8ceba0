"""The command line: one file for each command, importing what it needs inside the command."""
