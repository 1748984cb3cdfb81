"""OpenAI Responses, to and from the neutral form: https://platform.openai.com/docs/api-reference/responses"""

from gateway.translation.openai_responses.answer import failure
from gateway.translation.openai_responses.build import build
from gateway.translation.openai_responses.losses import LOSSES as LOSSES
from gateway.translation.openai_responses.reader import reader
from gateway.translation.openai_responses.request import parse
from gateway.translation.openai_responses.writer import Writer, whole
from gateway.translation.speech import Speech

SPEECH = Speech(
    name="openai_responses",
    parse=parse,
    build=build,
    reader=reader,
    writer=Writer,
    whole=whole,
    failure=failure,
)
