"""The served model `minutes`: a transcript to minutes whose every statement cites its segments."""
