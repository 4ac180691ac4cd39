"""A run over many recordings: what they are, where their results go, who transcribes them."""
