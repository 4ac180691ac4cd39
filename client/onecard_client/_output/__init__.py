"""The output of the command line, to terminals and to files."""
