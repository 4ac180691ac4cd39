"""Recordings that are transcribed after their caller was answered."""
