"""Messages to whoever waits for a job, at hosts that the operator listed."""
