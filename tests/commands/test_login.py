"""Logging in, with a one-time password too, and out."""

from pathlib import Path

import msgspec

from gateway.commands.store import Login
from tests.commands.conftest import Commands, ControlPlane


async def test_the_first_log_in_asks_for_a_new_password(plane: ControlPlane, commands: Commands, tmp_path: Path):
    commands.environ["POOLGATE_ADMIN_TOKEN"] = ""
    done = await commands("login", said=f"{plane.password}\nshort\n", expect=1)
    assert "new: " in done.stderr
    done = await commands("login", said=f"{plane.password}\na password of mine\n")
    assert "this password works once" in done.stderr
    assert f"logged in to {plane.url} as owner@localhost" in done.stderr
    assert plane.password not in done.output
    file = tmp_path / "login.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "password of mine" not in file.read_text()

    # A read, and a write, which needs the CSRF token.
    made = await commands.json("keys create --all --name from-a-session")
    assert made["id"] in (await commands("keys list")).stdout

    refused = await commands("login", said="wrong\n", expect=1)
    assert refused.stderr == "poolgate: e-mail, password or code is wrong (login_failed)\n"

    told = await commands.json("login --email owner@localhost", said="a password of mine\n")
    assert told["user"]["email"] == "owner@localhost"
    cookie = msgspec.json.decode(file.read_bytes(), type=Login).session

    assert await commands.json("logout") == {"logged_in": False}
    assert not file.exists()
    assert (await commands("keys list", expect=1)).stderr.startswith("poolgate: not logged in")
    # The session itself is over, not only forgotten.
    file.write_bytes(msgspec.json.encode(Login(plane.url, session=cookie)))
    assert "not valid any more" in (await commands("keys list", expect=1)).stderr
    await commands("logout")


async def test_a_token_is_tried_before_it_is_kept(plane: ControlPlane, commands: Commands, tmp_path: Path):
    commands.environ["POOLGATE_ADMIN_TOKEN"] = ""
    await commands("login --token", said="pgadm_wrong\n", expect=1)
    assert not (tmp_path / "login.json").exists()
    told = await commands.json(f"login --token --url {plane.url}/", said=f"{plane.token}\n")
    assert told["root"] is True
    assert plane.token not in str(told)
    assert await commands.json("keys list") is not None
    await commands("logout")
    assert await commands.json("keys list", environ={"POOLGATE_ADMIN_TOKEN": plane.token}) is not None
