"""What the command line writes: to terminals and to files."""
