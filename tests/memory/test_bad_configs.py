"""A bad config.json is one line with file, line and field; nothing but InputError escapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import known_configs as known
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.memory import KNOWN_MODEL_TYPES, kv_capacity, read_model_config

Writer = Callable[[dict[str, Any]], Path]


@pytest.mark.parametrize(
    "field",
    ["model_type", "hidden_size", "num_attention_heads", "num_hidden_layers", "torch_dtype"],
)
def test_a_missing_field_is_named(write_config: Writer, field: str) -> None:
    path = write_config({k: v for k, v in known.LLAMA_8B.items() if k != field})
    with pytest.raises(InputError, match="is missing") as caught:
        read_model_config(path)
    assert caught.value.field == field
    assert caught.value.file == str(path)


@pytest.mark.parametrize("field", ["kv_lora_rank", "qk_rope_head_dim"])
def test_a_missing_mla_field_is_named(field: str) -> None:
    with pytest.raises(InputError, match=field):
        read_model_config({k: v for k, v in known.DEEPSEEK_V3.items() if k != field})


@pytest.mark.parametrize("value", [0, -8, 8.0, "8", True, [8], {"n": 8}, 10**299])
@pytest.mark.parametrize("field", ["num_key_value_heads", "num_hidden_layers", "head_dim"])
def test_a_bad_value_has_line_field_and_range(
    write_config: Writer, field: str, value: object
) -> None:
    path = write_config(known.LLAMA_8B | {"head_dim": 128, field: value})
    with pytest.raises(InputError) as caught:
        read_model_config(path)
    expected = next(
        n for n, line in enumerate(path.read_text().splitlines(), 1) if f'"{field}":' in line
    )
    assert (caught.value.field, caught.value.line) == (field, expected)
    assert "whole number" in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_is_not_json(tmp_path: Path, constant: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(f'{{\n "model_type": "llama",\n "hidden_size": {constant}\n}}')
    with pytest.raises(InputError) as caught:
        read_model_config(path)
    assert caught.value.line == 3


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 1),
        (b"[1, 2]", 1),
        (b'{\n  "model_type": "llama",\n  "hidden_size": 40', 3),
        (b'{\n  "model_type": "llama"\n  "hidden_size": 4096\n}', 3),
        (b'{"a":\n"\xff\xfe"}', 2),
        (b"\x7fELF\x02\x01\x01\x00", 1),
        (b'{"num_hidden_layers": ' + b"9" * 5000 + b"}", None),
        (b"[" * 100_000, None),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, line: int | None) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_model_config(path)
    assert caught.value.file == str(path)
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


def test_a_truncated_file_at_every_length(tmp_path: Path) -> None:
    path, whole = tmp_path / "config.json", json.dumps(known.QWEN2_5_7B, indent=2).encode()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_model_config(path)


def test_no_file_and_odd_paths(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path, "a\0b"):
        with pytest.raises(InputError):
            read_model_config(path)


def test_a_directory_stands_for_its_config(write_config: Writer) -> None:
    directory = write_config(known.LLAMA_8B).parent
    assert read_model_config(directory).bytes_per_token == 131_072


def test_lists_must_match_the_layer_count() -> None:
    with pytest.raises(InputError, match="lists 3 layers where num_hidden_layers is 24"):
        read_model_config(
            known.GPT_OSS_20B | {"layer_types": ["full_attention"] * 3}, kv_dtype="fp8"
        )


def test_heads_that_do_not_divide() -> None:
    with pytest.raises(InputError, match="5 KV heads do not divide 32"):
        read_model_config(known.LLAMA_8B | {"num_key_value_heads": 5})
    with pytest.raises(InputError, match="does not divide hidden_size"):
        read_model_config(known.LLAMA_8B | {"hidden_size": 4097})


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["full_attention", "mamba", "bfloat16", "M*-E", *KNOWN_MODEL_TYPES]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_FIELDS = sorted(
    set().union(*(c for c in vars(known).values() if isinstance(c, dict) and "model_type" in c))
    | {"dtype", "layer_types", "layers_block_type", "no_rope_layers", "sliding_window_pattern"}
    | {"attn_layer_indices", "full_attn_idxs", "mamba_n_heads", "is_encoder_decoder", "n_embed"}
)
_BASES = [c for c in vars(known).values() if isinstance(c, dict) and "model_type" in c]


@given(
    base=st.sampled_from([{}, *_BASES]),
    model_type=st.none() | st.sampled_from(KNOWN_MODEL_TYPES),
    changed=st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4),
    dropped=st.sets(st.sampled_from(_FIELDS), max_size=2),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_object_works_or_raises_input_error(
    base: known.Config,
    model_type: str | None,
    changed: dict[str, object],
    dropped: set[str],
) -> None:
    config = {k: v for k, v in (base | changed).items() if k not in dropped}
    if model_type is not None:
        config["model_type"] = model_type
    try:
        model = read_model_config(config, kv_dtype="bfloat16")
    except InputError:
        return
    assert 0 <= model.bytes_per_token_full_attention <= model.bytes_per_token
    try:
        memory = kv_capacity(config, gpu_memory="1TB", kv_dtype="bfloat16")
    except InputError:
        return
    assert memory.kv_tokens >= 16


@given(st.dictionaries(st.text(), _JSON))
def test_arbitrary_objects_raise_input_error(config: dict[str, object]) -> None:
    with pytest.raises(InputError):
        read_model_config(config)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_raise_input_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    with pytest.raises(InputError):
        read_model_config(path)
