"""Load tests by Triton's own perf_analyzer: `make perf`. No tests, and nothing is asserted."""
