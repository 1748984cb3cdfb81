"""What a service may refuse. Services know no HTTP: the shells turn these into their own answers.

ServiceError
├── Invalid    a value cannot be used; `field` names it
├── Denied     the caller may not do this
├── Missing    no such thing within the caller's reach
└── Conflict   it stands in the way of something that exists
"""


class ServiceError(Exception):
    """`message` is a sentence for the public; it never holds a secret."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class Invalid(ServiceError): ...


class Denied(ServiceError): ...


class Missing(ServiceError): ...


class Conflict(ServiceError): ...
