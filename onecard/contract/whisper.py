"""The sizes that every Whisper model has (openai/whisper: whisper/audio.py, whisper/model.py)."""

SAMPLE_RATE = 16_000  # of all audio, mono
CHUNK_S = 30  # audio that the encoder takes at a time
NUM_FRAMES = 3_000  # of a chunk's mel features: 100 a second
NUM_ENCODER_POSITIONS = NUM_FRAMES // 2
NUM_TEXT_POSITIONS = 448  # tokens of the decoder's context: prompt and text together
