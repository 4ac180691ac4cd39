"""Shared by all kinds of answers: JSON documents, and streams of events."""
