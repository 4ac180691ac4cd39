"""Calls to a server over gRPC: connections, messages, retries, and the audio to send."""
