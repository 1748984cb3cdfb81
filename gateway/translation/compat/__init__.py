"""Tools for models without function calling: as text in the instructions, and the model's text as calls again. Pure.

`disguised` rewrites a request, a `Finder` the answer's events; both know the neutral form alone, so they serve every
protocol. A Finder is given the tools that may be called: none where the client's choice is `none`.
"""

from gateway.translation.compat.disguise import disguised, offered
from gateway.translation.compat.finder import Finder

__all__ = ["Finder", "disguised", "offered"]
