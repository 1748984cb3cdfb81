import pytest

from gateway.protocols.codec import InvalidBody
from gateway.translation.anthropic.blocks import Blocks
from gateway.translation.prompt import Call, Document, Image, Result, Sealed, Text, Thinking

CACHE = {"type": "ephemeral", "ttl": "1h"}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"type": "text", "text": "a", "cache_control": CACHE}, [Text("a", CACHE)]),
        ({"type": "text", "text": ""}, [Text("")]),
        ({"type": "image", "source": PNG}, [Image("image/png", "AAAA")]),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x"}, "cache_control": CACHE},
            [Image(url="https://x", cache=CACHE)],
        ),
        (
            {
                "type": "document",
                "title": "t",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            },
            [Document("application/pdf", "JVBE", name="t")],
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}},
            [Document("text/plain", text="d")],
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://x"}}, [Document(url="https://x")]),
        ({"type": "document", "source": {"type": "content", "content": "plain"}}, [Text("plain")]),
        (
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "a"}, {"type": "image", "source": PNG}],
                },
            },
            [Text("a"), Image("image/png", "AAAA")],
        ),
        (
            {"type": "search_result", "title": "T", "source": "S", "content": [{"type": "text", "text": "C"}]},
            [Text("T\nS\nC")],
        ),
        ({"type": "thinking", "thinking": "t", "signature": "s"}, [Thinking("t", Sealed("anthropic", "s"))]),
        ({"type": "thinking", "thinking": "t", "signature": ""}, [Thinking("t")]),
        (
            {"type": "redacted_thinking", "data": "d"},
            [Thinking(sealed=Sealed("anthropic", "d"), redacted=True)],
        ),
        (
            {"type": "tool_use", "id": "a_u3a_0", "name": "n", "input": {"b": 1, "a": [1.5]}, "cache_control": CACHE},
            [Call("a:0", "n", '{"b":1,"a":[1.5]}', cache=CACHE)],
        ),
        ({"type": "tool_use", "id": "i", "name": "n", "input": {}, "caller": {"type": "direct"}}, [Call("i", "n")]),
        ({"type": "tool_result", "tool_use_id": "a_u3a_0"}, [Result("a:0")]),
        ({"type": "tool_result", "tool_use_id": "i", "content": "c"}, [Result("i", (Text("c"),))]),
        (
            {
                "type": "tool_result",
                "tool_use_id": "i",
                "is_error": True,
                "cache_control": CACHE,
                "content": [
                    {"type": "text", "text": "c"},
                    {"type": "image", "source": PNG},
                    {"type": "document", "source": {"type": "url", "url": "u"}},
                    {"type": "tool_reference", "tool_name": "found"},
                ],
            },
            [
                Result(
                    "i",
                    (Text("c"), Image("image/png", "AAAA"), Document(url="u"), Text("found")),
                    error=True,
                    cache=CACHE,
                )
            ],
        ),
    ],
)
def test_every_block(block, parts):
    assert Blocks().parts([block], "messages[0].content") == tuple(parts)


def test_a_plain_text():
    assert Blocks().parts("hi", "system") == (Text("hi"),)


def test_the_history_tells_whose_result_it_is():
    blocks = Blocks()
    blocks.parts([{"type": "tool_use", "id": "i", "name": "look", "input": {}}], "messages[1].content")
    assert blocks.parts([{"type": "tool_result", "tool_use_id": "i"}], "messages[2].content") == (
        Result("i", name="look"),
    )


def test_what_is_dropped_is_named():
    blocks = Blocks()
    blocks.parts(
        [
            {"type": "text", "text": "a", "citations": [{"type": "char_location"}]},
            {
                "type": "document",
                "context": "c",
                "citations": {"enabled": True},
                "source": {"type": "url", "url": "u"},
            },
            {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "x"}},
        ],
        "messages[0].content",
    )
    assert list(blocks.dropped) == ["citations", "document.context", "tool_addition"]


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (7, ""),
        (["x"], "[0]"),
        ([{}], "[0].type"),
        ([{"type": 1}], "[0].type"),
        ([{"type": "text", "text": "a"}, {"type": "server_tool_use"}], "[1].type"),
        ([{"type": "container_upload", "file_id": "f"}], "[0].type"),
        ([{"type": "text"}], "[0].text"),
        ([{"type": "text", "text": 1}], "[0].text"),
        ([{"type": "text", "text": "a", "cache_control": "x"}], "[0].cache_control"),
        ([{"type": "image"}], "[0].source"),
        ([{"type": "image", "source": {"type": "file", "file_id": "f"}}], "[0].source.type"),
        ([{"type": "image", "source": {"type": "base64", "data": "A"}}], "[0].source.media_type"),
        ([{"type": "document", "source": {"type": "file", "file_id": "f"}}], "[0].source.type"),
        (
            [{"type": "document", "source": {"type": "content", "content": [{"type": "thinking"}]}}],
            "[0].source.content[0].type",
        ),
        ([{"type": "tool_use", "id": "i", "name": "n"}], "[0].input"),
        ([{"type": "tool_use", "id": "i", "name": "n", "input": "x"}], "[0].input"),
        ([{"type": "tool_use", "name": "n", "input": {}}], "[0].id"),
        ([{"type": "tool_result"}], "[0].tool_use_id"),
        ([{"type": "tool_result", "tool_use_id": "i", "is_error": 1}], "[0].is_error"),
        ([{"type": "tool_result", "tool_use_id": "i", "content": [{"type": "tool_use"}]}], "[0].content[0].type"),
        ([{"type": "thinking"}], "[0].thinking"),
        ([{"type": "redacted_thinking"}], "[0].data"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(content, field):
    with pytest.raises(InvalidBody) as refused:
        Blocks().parts(content, "messages[3].content")
    assert refused.value.field == "messages[3].content" + field


def test_instructions_are_text():
    with pytest.raises(InvalidBody, match="system must be text"):
        Blocks().texts([{"type": "image", "source": PNG}], "system")
