"""Headers of emails: encoded words and parameters."""
