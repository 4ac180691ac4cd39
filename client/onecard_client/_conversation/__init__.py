"""Conversations with the language model at a terminal."""
