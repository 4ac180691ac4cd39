"""The layout of subtitles: where cues and lines break, and how long each is shown."""
