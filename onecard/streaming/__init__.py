"""The served model `transcribe_stream`: a recording in pieces through all other models."""
