"""RFC 9457, 3.1: the members of a problem."""

import json

from admin.problem import FieldError, Problem, body


def test_body():
    raised = Problem(409, "conflict", "it is there already", errors=[FieldError("name", "already taken")])
    assert json.loads(body(raised, "req_x")) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "it is there already",
        "code": "conflict",
        "errors": [{"field": "name", "message": "already taken"}],
        "request_id": "req_x",
    }


def test_a_problem_has_every_member_always():
    said = json.loads(body(Problem(421, "unknown_host", "x"), ""))
    assert (said["title"], said["errors"], said["request_id"]) == ("Misdirected Request", [], "")


def test_the_exception_itself_tells_the_code_only():
    """It may be logged: `detail` repeats what was asked."""
    raised = Problem(400, "invalid_request", "what was asked", headers={"Retry-After": "3"})
    assert str(raised) == "invalid_request"
    assert (raised.headers, Problem(400, "x", "y").headers) == ({"Retry-After": "3"}, {})
