"""Every client to every upstream over real sockets: the vendors' SDKs get the vectors of their own texts."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.local.sandbox.vectors import vector
from gateway.protocols import CODECS
from gateway.translation.embeddings import EMBEDDINGS, Texts, Vectors
from tests.translation.embeddings.relay import endpoint, relaying

UPSTREAMS = ["gemini", "ollama", "openai_chat"]
TEXTS = ["one", "zwei — é", "三😀", "one"]
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
rows = st.lists(st.lists(floats, max_size=5), min_size=1, max_size=4)
FORMS = [
    ("gemini", "embedContent"),
    ("gemini", "batchEmbedContents"),
    ("ollama", "embed"),
    ("ollama", "embeddings"),
    ("openai_chat", ""),
]


def test_every_protocol_that_embeds_has_its_row():
    embeds = {name for name, codec in CODECS.items() if any(each.operation == "embed" for each in codec.endpoints)}
    assert embeds == set(EMBEDDINGS) == set(UPSTREAMS)


async def test_the_sdks():
    async with relaying() as clients:
        for upstream in UPSTREAMS:
            clients.relay.upstream = upstream
            for client in ("openai", "openai float", "genai", "ollama"):
                for texts, dimensions in ((TEXTS, 8), (TEXTS[:1], 8), (TEXTS[1:2], 1536)):
                    found = await clients.ask(client, texts, dimensions)
                    assert found == [vector(text, dimensions) for text in texts], (upstream, client)
                assert len((await clients.ask(client, ["x"], None))[0]) in (768, 1536)
            assert (await clients.ollama.embeddings(model="m", prompt="三")).embedding in (
                vector("三", 768),
                vector("三", 1536),
            )


async def test_one_content_without_an_sdk():
    """google.genai asks for one text as for several."""
    async with relaying() as clients, httpx.AsyncClient() as http:
        for upstream in UPSTREAMS:
            clients.relay.upstream = upstream
            body = {"content": {"parts": [{"text": "三"}]}, "output_dimensionality": 8}
            answer = (await http.post(f"{clients.url}/v1beta/models/m:embedContent", json=body)).json()
            assert answer["embedding"] == {"values": vector("三", 8)}


async def test_each_path_was_asked():
    async with relaying() as clients:
        for client in ("openai", "genai", "ollama"):
            await clients.ask(client, ["a"], 8)
        await clients.ollama.embeddings(model="m", prompt="a")
        assert [path.split(":")[-1] for path in clients.relay.asked] == [
            "/v1/embeddings",
            "batchEmbedContents",
            "/api/embed",
            "/api/embeddings",
        ]


@pytest.mark.parametrize(("protocol", "action"), FORMS)
@given(vectors=rows, tokens=st.none() | st.integers(0, 10**6), base64=st.booleans())
def test_what_is_written_is_read_again(protocol, action, vectors, tokens, base64):
    alone = action in ("embedContent", "embeddings")
    vectors = tuple(vectors[:1] if alone else vectors)
    texts = Texts("m", ("x" * 40,) * len(vectors), base64=base64, alone=alone)
    codec = EMBEDDINGS[protocol]
    found = codec.read(codec.write(texts, Vectors(vectors, tokens)))
    assert found.vectors == vectors
    if protocol == "gemini":
        assert found.input_tokens == tokens
    elif action == "embeddings":
        assert found.input_tokens is None
    else:
        assert found.input_tokens == (10 * len(vectors) if tokens is None else tokens)


@pytest.mark.parametrize("protocol", UPSTREAMS)
@given(
    inputs=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4),
    dimensions=st.none() | st.integers(1, 4096),
)
def test_what_is_built_is_parsed_again(protocol, inputs, dimensions):
    built = EMBEDDINGS[protocol].build(Texts("m", tuple(inputs), dimensions))
    action = "" if protocol == "openai_chat" else built.operation
    found = EMBEDDINGS[protocol].parse(built.body, endpoint(protocol, action))
    assert (found.inputs, found.dimensions, built.adjusted) == (tuple(inputs), dimensions, ())
