"""What onecard is compared with: WhisperX, in an environment of its own."""
