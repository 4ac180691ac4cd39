"""The tables connect: every tensor that a step reads is the caller's or made by an earlier step."""

from onecard.contract import pipeline, trtllm


def test_each_step_of_the_ensemble_finds_its_inputs():
    """Those that it needs; the optional ones are for callers of single steps."""
    made = set(pipeline.TRANSCRIBE.inputs)
    for name in pipeline.TRANSCRIBE_STEPS:
        model = pipeline.PYTHON_MODELS[name]
        needed = {tensor for tensor in model.inputs if not tensor.optional}
        assert needed <= made, f"{name} lacks {needed - made}"
        assert not made & set(model.outputs), f"{name} makes what is there already"
        made |= set(model.outputs)
    assert set(pipeline.TRANSCRIBE.outputs) <= made


def test_diarize_needs_nothing_of_recognition():
    made = {
        tensor for step in ("recognize", "align") for tensor in pipeline.PYTHON_MODELS[step].outputs
    }
    assert not made & set(pipeline.PYTHON_MODELS["diarize"].inputs)


def test_names_are_unique_within_the_engine_contract():
    for tensors in (trtllm.INPUTS, trtllm.OUTPUTS):
        names = [tensor.name for tensor in tensors]
        assert len(names) == len(set(names))


def test_the_required_inputs_are_those_of_the_backend():
    assert [t.name for t in trtllm.INPUTS if not t.optional] == [
        "input_lengths",
        "request_output_len",
    ]
