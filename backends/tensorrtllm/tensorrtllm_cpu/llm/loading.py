"""Which library runs the model in a directory."""

from __future__ import annotations

from onecard import manifest
from tensorrtllm_cpu.contract.settings import Settings, SettingsError
from tensorrtllm_cpu.llm.model import DecoderModel


def load(settings: Settings) -> DecoderModel:
    """The model in the settings' directory, by the library that its manifest names.

    Raises:
        ManifestError: a file is missing or is not what its manifest says.
        SettingsError: no such library here, or the directory is for another one.
    """
    made = manifest.verify(settings.model_path)
    # Imported here: each library is large, and a model needs one of them.
    if made.backend == "openvino":
        from tensorrtllm_cpu.llm.openvino import PagedModel

        return PagedModel(settings, made.model)
    if made.backend == "llama.cpp":
        from tensorrtllm_cpu.llm.llama_cpp import LlamaModel

        return LlamaModel(
            settings.model_path,
            settings.max_batch_size,
            settings.kv_capacity,
            settings.max_num_tokens,
            settings.num_threads,
        )
    raise SettingsError(
        f"`{settings.model_path}` is for `{made.backend}`, must be for openvino or llama.cpp; "
        "make it with `make engines`"
    )
