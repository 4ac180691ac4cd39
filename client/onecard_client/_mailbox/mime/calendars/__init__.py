"""Invitations and other calendar entries in emails."""
