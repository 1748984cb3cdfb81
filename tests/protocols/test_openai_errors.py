"""The closest status of an error object."""

from gateway.protocols.openai_errors import STATUS, failure_status


def test_every_known_name_as_code_and_as_type():
    for name, status in STATUS.items():
        assert failure_status({"code": name, "type": "x"}) == status
        assert failure_status({"type": name}) == status


def test_the_code_tells_more_than_the_type():
    assert failure_status({"type": "invalid_request_error", "code": "model_not_found"}) == 404


def test_numbers_out_of_range_are_no_status():
    assert failure_status({"code": 200}) == failure_status({"code": "1000"}) == failure_status({"code": True}) == 500
