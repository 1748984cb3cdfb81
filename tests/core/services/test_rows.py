"""Ids at the edge, and what a PATCH means."""

from typing import Any

import pytest

from gateway.core.services import rows
from gateway.core.services.failures import Invalid, Missing

KEY = "key_01a1fa78-5337-7cc9-a86d-87662f0f4002"


@pytest.mark.parametrize("text", ["", "key_", KEY.replace("key", "usr"), KEY[:-1], KEY + "0", "key_'x"])
def test_what_is_no_id_names_nothing(text: str):
    with pytest.raises(Missing):
        rows.identity(text, "key", "key")
    with pytest.raises(Invalid) as raised:
        rows.filter_id(text, "key", "key_id")
    assert raised.value.field == "key_id"
    assert raised.value.message == "not a key_… id"
    with pytest.raises(Invalid, match="not an acct_… id"):
        rows.filter_id(text, "acct", "account_id")


def test_an_id_has_one_spelling():
    assert rows.identity(KEY.upper().replace("KEY_", "key_"), "key", "key") == KEY


def test_null_means_the_default_and_the_default_is_not_shared():
    defaults: dict[str, Any] = {"tags": [], "limits": {}, "end": None}
    meant = rows.cleared({"tags": None, "limits": None, "end": None, "name": "n"}, defaults)
    assert meant == {"tags": [], "limits": {}, "end": None, "name": "n"}
    meant["tags"].append("x")
    assert defaults["tags"] == []
    with pytest.raises(Invalid) as raised:
        rows.cleared({"name": None}, defaults)
    assert raised.value.field == "name"
