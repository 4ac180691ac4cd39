"""The served model `triage`: emails to verdicts, by calls of the language model."""
