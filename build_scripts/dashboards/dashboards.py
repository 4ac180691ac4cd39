"""The dashboards: an overview of a server or several, and one of a model that is chosen there."""

from __future__ import annotations

from build_scripts.dashboards.panel import Dashboard, Panel, Query, Row

MODELS = {
    "name": "model",
    "label": "model",
    "type": "query",
    "datasource": {"type": "prometheus", "uid": "${datasource}"},
    "query": {"query": "label_values(onecard_streams, model)", "refId": "models"},
    "refresh": 2,
    "sort": 1,
}
_RATE = "[$__rate_interval]"
_KV = "nv_trt_llm_kv_cache_block_metrics"
_REQUESTS = "nv_trt_llm_request_metrics"


def _quantile(share: float, family: str, by: str, of: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({family}_bucket{of}{_RATE})))"


_NOW = Row(
    "Now",
    (
        Panel(
            "Audio left", "Seconds of audio that were accepted and are not done.",
            (Query("sum(onecard_audio_seconds_left)"),), "s", "stat", 4, 7200,
        ),
        Panel(
            "Until it is done", "Audio left, at the speed of the last quarter of an hour.",
            (Query("onecard:audio_drain_seconds"),), "s", "stat", 4, 1800,
        ),
        Panel(
            "Waiting", "Requests that were accepted and for which nothing is being done.",
            (Query('sum(onecard_streams{state="waiting"})'),), "short", "stat", 4, 20,
        ),
        Panel(
            "Oldest wait", "Of the requests that wait.",
            (Query("max(onecard_oldest_wait_seconds)"),), "s", "stat", 4, 300,
        ),
        Panel(
            "Running", "Requests that are being worked on.",
            (Query('sum(onecard_streams{state="running"})'),), "short", "stat", 4,
        ),
        Panel(
            "Servers", "Whose metrics can be read.",
            (Query('count(up{job="onecard"} == 1)'),), "short", "stat", 4,
        ),
    ),
)  # fmt: skip

_TRAFFIC = Row(
    "Traffic",
    (
        Panel(
            "Requests that ended", "By model and outcome, a second.",
            (Query(
                f"sum by (model, outcome) (rate(onecard_streams_ended_total{_RATE}))",
                "{{model}} {{outcome}}",
            ),), "ops",
        ),
        Panel(
            "Queue", "Requests by what becomes of them.",
            (Query("sum by (model, state) (onecard_streams)", "{{model}} {{state}}"),),
            is_stacked=True,
        ),
        Panel(
            "Audio left", "The signal to scale on.",
            (Query("sum by (model) (onecard_audio_seconds_left)", "{{model}}"),), "s",
        ),
        Panel(
            "Audio done", "Seconds of audio in a second.",
            (Query(f"sum by (model) (rate(onecard_audio_seconds_total{_RATE}))", "{{model}}"),),
        ),
        Panel(
            "Through the gateway", "Requests a second by status.",
            (Query(f"sum by (status) (rate(onecard_gateway_requests_total{_RATE}))",
                   "{{status}}"),), "ops",
        ),
        Panel(
            "Tokens", "Of the language model's calls, a second.",
            (Query(f"sum by (model, direction) (rate(onecard_llm_tokens_total{_RATE}))",
                   "{{model}} {{direction}}"),),
        ),
    ),
)  # fmt: skip

_LATENCY = Row(
    "Latency",
    (
        Panel(
            "Answers, 95th percentile", "From a whole request to the end of its answer.",
            (Query(_quantile(0.95, "onecard_stream_seconds", "model"), "{{model}}"),), "s",
        ),
        Panel(
            "Stages, 95th percentile", "Of a recording's calls, without the wait for a turn.",
            (Query(_quantile(0.95, "onecard_stage_seconds", "stage"), "{{stage}}"),), "s",
        ),
        Panel(
            "Real-time factor", "Seconds taken for each second of audio; half take less.",
            (Query(_quantile(0.5, "onecard_real_time_factor", "model"), "{{model}}"),),
            "none", red_from=1,
        ),
        Panel(
            "Wait of the oldest", "Of the requests that wait.",
            (Query("max by (model) (onecard_oldest_wait_seconds)", "{{model}}"),), "s",
            red_from=300,
        ),
    ),
)  # fmt: skip

_ERRORS = Row(
    "Errors",
    (
        Panel(
            "Requests that failed or were refused", "In a minute.",
            (Query(
                "60 * sum by (model, outcome) (rate(onecard_streams_ended_total"
                f'{{outcome=~"failed|refused"}}{_RATE}))', "{{model}} {{outcome}}",
            ),),
        ),
        Panel(
            "Stages that failed", "In a minute.",
            (Query(f"60 * sum by (stage) (rate(onecard_stage_errors_total{_RATE}))",
                   "{{stage}}"),),
        ),
    ),
)  # fmt: skip

_ENGINE = Row(
    "Language model and memory",
    (
        Panel(
            "Sequences", "In the language model's engine: running and waiting.",
            (
                Query(f'sum({_REQUESTS}{{request_type="scheduled"}})', "running"),
                Query(f'sum({_REQUESTS}{{request_type="waiting"}})', "waiting"),
            ), is_stacked=True,
        ),
        Panel(
            "KV cache in use", "Tokens, and the most that there is room for.",
            (
                Query(f'sum({_KV}{{kv_cache_block_type="used"}} * ignoring(kv_cache_block_type) '
                      f'{_KV}{{kv_cache_block_type="tokens_per"}})', "used"),
                Query(f'sum({_KV}{{kv_cache_block_type="max"}} * ignoring(kv_cache_block_type) '
                      f'{_KV}{{kv_cache_block_type="tokens_per"}})', "room"),
            ),
        ),
        Panel(
            "VRAM", "Of the whole GPU, by all who use it.",
            (
                Query("sum by (gpu_uuid) (nv_gpu_memory_used_bytes)", "used {{gpu_uuid}}"),
                Query("sum by (gpu_uuid) (nv_gpu_memory_total_bytes)", "card {{gpu_uuid}}"),
            ), "bytes",
        ),
        Panel(
            "VRAM over the plan", "What each process has beyond what it was planned.",
            (
                Query("sum by (process) (onecard_vram_used_bytes) "
                      "- sum by (process) (onecard_vram_planned_bytes)", "{{process}}"),
            ), "bytes",
        ),
    ),
)  # fmt: skip

OVERVIEW = Dashboard(
    "onecard-overview", "onecard: overview", (_NOW, _TRAFFIC, _LATENCY, _ERRORS, _ENGINE)
)

_OF = '{model="$model"}'
_MODEL_ROWS = (
    Row(
        "Requests",
        (
            Panel(
                "Under way", "By what becomes of them.",
                (Query(f"sum by (state) (onecard_streams{_OF})", "{{state}}"),), is_stacked=True,
            ),
            Panel(
                "Ended", "By outcome, a second.",
                (Query(f"sum by (outcome) (rate(onecard_streams_ended_total{_OF}{_RATE}))",
                       "{{outcome}}"),), "ops",
            ),
            Panel(
                "Wait of the oldest", "Of the requests that wait.",
                (Query(f"max(onecard_oldest_wait_seconds{_OF})", "oldest"),), "s", red_from=300,
            ),
            Panel(
                "Answers", "From a whole request to the end of its answer.",
                tuple(
                    Query(_quantile(share, "onecard_stream_seconds", "", _OF), name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                ), "s",
            ),
        ),
    ),
    Row(
        "Stages",
        (
            Panel(
                "Seconds, 95th percentile", "Of calls to other models.",
                (Query(_quantile(0.95, "onecard_stage_seconds", "stage", _OF), "{{stage}}"),),
                "s",
            ),
            Panel(
                "Busy", "Calls to other models at a time, as a mean.",
                (Query(f"sum by (stage) (rate(onecard_stage_seconds_sum{_OF}{_RATE}))",
                       "{{stage}}"),), is_stacked=True,
            ),
            Panel(
                "Errors", "Calls that failed, in a minute.",
                (Query(f"60 * sum by (stage) (rate(onecard_stage_errors_total{_OF}{_RATE}))",
                       "{{stage}}"),),
            ),
        ),
    ),
    Row(
        "Audio",
        (
            Panel(
                "Audio left", "Accepted and not done.",
                (Query(f"sum(onecard_audio_seconds_left{_OF})", "left"),), "s",
            ),
            Panel(
                "Real-time factor", "Seconds taken for each second of audio.",
                tuple(
                    Query(_quantile(share, "onecard_real_time_factor", "", _OF), name)
                    for share, name in ((0.5, "median"), (0.95, "95 %"))
                ), "none", red_from=1,
            ),
        ),
    ),
    Row(
        "Language model",
        (
            Panel(
                "Calls", "A second.",
                (Query(f"sum(rate(onecard_llm_calls_total{_OF}{_RATE}))", "calls"),), "ops",
            ),
            Panel(
                "Tokens", "A second.",
                (Query(f"sum by (direction) (rate(onecard_llm_tokens_total{_OF}{_RATE}))",
                       "{{direction}}"),),
            ),
            Panel(
                "For review", "Share of verdicts and entries that a person is to look at.",
                (Query(
                    f'sum(rate(onecard_items_total{{model="$model", for_review="yes"}}{_RATE}))'
                    f" / sum(rate(onecard_items_total{_OF}{_RATE}))", "for review",
                ),), "percentunit",
            ),
        ),
    ),
)  # fmt: skip
MODEL = Dashboard("onecard-model", "onecard: a model", _MODEL_ROWS, (MODELS,))

DASHBOARDS = {"overview.json": OVERVIEW, "model.json": MODEL}
