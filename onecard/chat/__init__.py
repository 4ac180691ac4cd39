"""The served model `chat`: options and messages in, an answer as events out."""
