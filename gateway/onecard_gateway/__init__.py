"""The HTTP door for applications: OpenAI's, whisper-asr-webservice's and Ollama's APIs."""
