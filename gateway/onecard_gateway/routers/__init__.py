"""One router for each API."""
