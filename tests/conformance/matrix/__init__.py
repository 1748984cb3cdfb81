"""Any client by its vendor's SDK, any upstream by the sandbox, and what must be the same on both sides."""

import pytest

pytest.register_assert_rewrite("tests.conformance.matrix.scripts", "tests.conformance.matrix.asked")
