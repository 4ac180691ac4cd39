"""Recordings on their way in, and transcripts on their way out."""
