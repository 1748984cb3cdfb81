"""Users."""

from tests.commands.conftest import Commands


async def test_a_user_gets_a_password_that_works_once(commands: Commands):
    done = await commands("users create --email ann@example.com --role operator")
    assert done.stdout.count("\n") == 1
    assert "ann@example.com: this password is shown once" in done.stderr
    listed = (await commands("users list --search ann")).stdout
    assert "ann@example.com" in listed
    assert "operator@ten_" in listed
    assert done.stdout.strip() not in listed
    login = {"POOLGATE_ADMIN_TOKEN": ""}
    await commands("login --email ann@example.com", said=f"{done.stdout}a new password\n", environ=login)
    assert (await commands("users create --email b@example.com", expect=1, environ=login)).stderr.endswith(
        "(forbidden)\n"
    )


async def test_a_user_with_a_given_password(commands: Commands):
    made = await commands.json("users create --email root@example.com --root --name R --password -", said="long enough")
    assert (made["root"], made["name"], "password" in made) == (True, "R", False)
    assert (await commands("users create --email bob@example.com --password -", said="long enough")).stdout == ""
    again = await commands("users create --email root@example.com", expect=1)
    assert again.stderr == "poolgate: something of this name exists already; email: already taken (conflict)\n"
