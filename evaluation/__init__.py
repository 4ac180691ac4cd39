"""Errors of a transcription system against references: `make eval`."""
