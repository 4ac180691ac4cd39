"""The served model `recognize`: chunks of speech to text, with second attempts."""
