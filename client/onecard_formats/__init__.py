"""Transcripts as texts: subtitles and the other formats, for the client and for the models."""
