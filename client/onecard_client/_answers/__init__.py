"""What every kind of answer needs: documents of JSON, and events as they come."""
