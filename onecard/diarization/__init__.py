"""The served model `diarize`: speaker embeddings, their clusters, and who speaks when."""
