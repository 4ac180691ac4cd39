"""What a plan and a request say of triage, for tests to change with `dataclasses.replace`."""

from __future__ import annotations

from onecard.triage.options import Config, Settings

CONFIG = Config(
    llm_model="llm",
    tokenizer_dir="",
    engine_dir="",
    engine_backend="",
    engine_precision="",
    max_seq_len=8192,
    categories="invoice,other",
    priorities="high,low",
    instructions="",
    mails_per_call=3,
    max_tokens_per_mail=256,
    max_calls_in_flight=2,
    max_streams=4,
    max_speech_wait_s=60.0,
    confidence_threshold=0.5,
    drafts=True,
    temperature=0.0,
)
SETTINGS = Settings(
    categories=("invoice", "other"),
    priorities=("high", "low"),
    instructions="",
    mails_per_call=10,
    max_tokens_per_mail=256,
    drafts=True,
    temperature=0.0,
    seed=None,
    confidence_threshold=0.5,
)
