"""Ratios measured side by side in one run: `make bench`. No tests, and nothing is asserted."""
