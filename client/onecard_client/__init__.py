"""Client of a onecard server: `Client`, `AsyncClient`, and what they return and raise."""

from importlib.metadata import PackageNotFoundError, version

from onecard_client._clients.aio import AsyncClient
from onecard_client._clients.blocking import DEFAULT_TIMEOUT_S, Client
from onecard_client._clients.voice import Voice
from onecard_client._errors import (
    AccessDenied,
    BadResponse,
    Cancelled,
    ConnectionFailed,
    DeadlineExceeded,
    InvalidRequest,
    OnecardError,
    ServerError,
    Unavailable,
)
from onecard_client._transport.growing_file import GrowingFile
from onecard_client.chat import (
    AsyncChatStream,
    ChatStream,
    ChatUsage,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
    ToolCallPart,
)
from onecard_client.events import Event, Progress, Segments
from onecard_client.health import Health, ModelState, SpeechModel
from onecard_client.ledger import Ledger, LedgerPart
from onecard_client.limits import Limits
from onecard_client.mail import Email
from onecard_client.minutes import (
    ActionItem,
    Answer,
    Finding,
    Item,
    Minutes,
    MinutesProgress,
    MinutesSummary,
    Note,
    Quote,
)
from onecard_client.transcript import (
    Account,
    InvalidTranscript,
    KnownSpeaker,
    Segment,
    Transcript,
    Turn,
    Word,
    text_of,
)
from onecard_client.triage import (
    AsyncTriageStream,
    TriageCall,
    TriageProgress,
    TriageStream,
    TriageSummary,
    Verdict,
)

try:
    __version__ = version("onecard")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "unknown"

__all__ = [
    "DEFAULT_TIMEOUT_S",
    "AccessDenied",
    "Account",
    "ActionItem",
    "Answer",
    "AsyncChatStream",
    "AsyncClient",
    "AsyncTriageStream",
    "BadResponse",
    "Cancelled",
    "ChatStream",
    "ChatUsage",
    "Client",
    "ConnectionFailed",
    "DeadlineExceeded",
    "Email",
    "Event",
    "Finding",
    "GrowingFile",
    "Health",
    "InvalidRequest",
    "InvalidTranscript",
    "Item",
    "KnownSpeaker",
    "Ledger",
    "LedgerPart",
    "Limits",
    "Minutes",
    "MinutesProgress",
    "MinutesSummary",
    "ModelState",
    "Note",
    "OnecardError",
    "Progress",
    "Quote",
    "Segment",
    "Segments",
    "ServerError",
    "SpeechModel",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "ToolCallPart",
    "Transcript",
    "TriageCall",
    "TriageProgress",
    "TriageStream",
    "TriageSummary",
    "Turn",
    "Unavailable",
    "Verdict",
    "Voice",
    "Word",
    "__version__",
    "text_of",
]
