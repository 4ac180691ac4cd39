"""The served model `detect_speech`: segmentation scores, speech regions, chunks for Whisper."""
