"""Whisper itself: its mel features, its tokenizer, and what a model and its engine can do."""
