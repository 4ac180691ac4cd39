"""One run of `onecard triage`: judging emails, showing verdicts, keeping them on disk."""
