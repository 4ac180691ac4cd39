"""Strangers' text on its way into a prompt: made harmless to show, and fenced."""
