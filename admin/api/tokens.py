"""Admin tokens: a user's own; root sees all."""

from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody

from admin import trail
from admin.caller import Caller
from admin.deps import Asking, Database, Holding, Part
from admin.permissions import includes, known_scope
from admin.schemas.page import Page, given, page
from admin.schemas.people import TokenDraft, TokenView, token_view
from gateway.core.services import tokens
from gateway.core.services.failures import Conflict, Denied, Invalid


class TokenController(Controller):
    path = "/tokens"
    tags = ("tokens",)

    @get(opt={"permission": "tokens:read"})
    async def listing(self, session: Database, caller: Asking, window: Part) -> Page[TokenView]:
        return page(await tokens.listing(session, _whose(caller), window), token_view)

    @post(opt={"permission": "tokens:write"})
    async def create(
        self, session: Database, caller: Asking, resources: Holding, data: JSONBody[TokenDraft]
    ) -> TokenView:
        """The token is in `secret`, this once. It can do what you can, narrowed to its scopes."""
        if caller.user_id is None:
            raise Conflict("there is no user yet whom the token could act for")
        for at, scope in enumerate(data.scopes):
            _check_scope(caller, scope, f"scopes[{at}]")
        token, secret = await tokens.issue(session, resources.peppers, caller.user_id, given(data))
        await trail.note(session, caller, "tokens.create", token.id, after=token_view(token))
        return token_view(token, secret.reveal())

    @get("/{token_id:str}", opt={"permission": "tokens:read"})
    async def read(self, session: Database, caller: Asking, token_id: FromPath[str]) -> TokenView:
        return token_view(await tokens.find(session, _whose(caller), token_id))

    @delete("/{token_id:str}", opt={"permission": "tokens:write"})
    async def remove(self, session: Database, caller: Asking, token_id: FromPath[str]) -> None:
        token = await tokens.find(session, _whose(caller), token_id)
        await trail.note(session, caller, "tokens.delete", token.id, before=token_view(token))
        await tokens.delete(session, token)


def _whose(caller: Caller) -> str | None:
    return None if caller.root else caller.user_id


def _check_scope(caller: Caller, scope: str, field: str) -> None:
    if not known_scope(scope):
        raise Invalid("expected resource:verb, with read, write or *", field)
    within = caller.scopes is None or any(includes(held, scope) for held in caller.scopes)
    if not within or ("*" not in scope and not caller.may(scope)):
        raise Denied("you cannot grant what you lack", field)
