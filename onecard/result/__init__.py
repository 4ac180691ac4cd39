"""The served model `label`: words and speaker turns joined to the RESULT document."""
