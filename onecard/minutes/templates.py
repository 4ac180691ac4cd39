"""What each template looks for, told to the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onecard.minutes.options import Template


@dataclass(frozen=True)
class Kind:
    """A kind of recording: what it is called, and what is worth noting in it."""

    name: str
    guidance: str


TEMPLATES: Mapping[Template, Kind] = {
    "meeting": Kind(
        "meeting",
        "Note what was decided and not merely proposed, who took which task until when, and what "
        "was left open.",
    ),
    "interview": Kind(
        "interview",
        "Topics are the questions asked and what was answered. A decision is what was agreed about "
        "how to go on. Quote what characterises the person.",
    ),
    "call": Kind(
        "phone call",
        "Note why the call was made, what was promised by whom until when, and what the caller "
        "still waits for.",
    ),
    "lecture": Kind(
        "lecture",
        "Topics are what is taught, in order, each as a sentence that says it. Open questions are "
        "those that stay unanswered; actions are exercises and readings. There are few decisions.",
    ),
    "medical": Kind(
        "medical consultation",
        "Topics are complaints, history, findings and assessment. Decisions are what was "
        "prescribed or planned, with doses as they were said. Actions are referrals, tests and "
        "what the patient has to do. Never add a diagnosis that nobody said.",
    ),
    "custom": Kind("recording", "Note what the instructions below ask for."),
}
