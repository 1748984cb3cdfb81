"""Background work of an installation: one process leads, the others wait for its place."""

from gateway.jobs.main import run

__all__ = ["run"]
