"""Conversations on their way in, and answers on their way out."""
