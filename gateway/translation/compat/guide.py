"""What tells a model how to call tools in text. Every request pays for it, so it is short."""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.protocols.reading import written
from gateway.translation.arguments import FREE
from gateway.translation.compat import example, syntax
from gateway.translation.compat.schema import Schema
from gateway.translation.compat.values import shown
from gateway.translation.prompt import Choice, Tool

_SYNTAX = """\
# Tools

You can call the tools listed below. To call one, write this into your answer:
<pg:call name="NAME"><pg:arg name="ARG">VALUE</pg:arg></pg:call>
with one pg:arg for each argument. These are the rules:
- A VALUE that is a string is written as it is, without quotes. Any other VALUE (number, true, false, null, array, \
object) is written as JSON.
- In every VALUE write & as &amp; and < as &lt; and > as &gt;, once: if (a < b) becomes if (a &lt; b).
- Never put a call in a code fence or in backticks: it would not run there.
- Use only the tools and arguments listed here, and give all required arguments.
"""
_SEVERAL = "- Several calls may stand one after another. After the last one"
_ONE_CALL = "- Write one call at a time, never two in an answer. After it"
_WAIT = """\
, end your answer and wait. The next message brings the results as
<pg:result call="ID" name="NAME">TEXT</pg:result>
with & < > escaped in the same way. Never write a pg:result yourself.
"""


def guide(tools: Sequence[Tool], choice: Choice) -> str:
    """`tools`: one at least; the first is the example's."""
    said = [_SYNTAX, _ONE_CALL if choice.parallel is False else _SEVERAL, _WAIT]
    said += [f"- {rule}\n" for rule in _wanted(choice)]
    said.append(f"\nExample, a call of {syntax.quoted(tools[0].name)}:\n{_example(tools[0])}\n")
    said.append("\nThe tools, each with the JSON schema of its arguments (escaped like a VALUE):\n")
    said += map(_shown, tools)
    return "".join(said).rstrip("\n")


def _wanted(choice: Choice) -> Iterator[str]:
    if choice.mode == "required":
        yield "This time you must call a tool: an answer without a call is wrong."
    elif choice.mode == "one":
        yield f"This time you must call the tool {syntax.quoted(choice.name or '')} and no other."


def _example(tool: Tool) -> str:
    schema = Schema(tool)
    made = example.arguments(schema)
    return syntax.call(tool.name, ((name, shown(value, *schema.of(name))) for name, value in made.items()))


def _shown(tool: Tool) -> str:
    schema: Any = FREE if tool.custom else tool.schema
    said = [] if not tool.description else [syntax.escaped(tool.description)]
    said += [] if schema is None else [syntax.escaped(written(schema).decode())]
    return "\n".join([f"<pg:tool name={syntax.quoted(tool.name)}>", *said, "</pg:tool>\n"])
