"""What the jobs keep of the counters of limits, to make them anew when Redis has lost them. Read and written in SQL."""

from datetime import datetime

from sqlalchemy import BigInteger, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from gateway.core.models.base import Model


class CounterAmount(Model):
    """What the rows of the ledger have counted under a limit, in one bucket of its window."""

    __tablename__ = "counters"

    tag: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Of a sliding window; 0 in one of the calendar."""
    span: Mapped[int] = mapped_column(BigInteger)
    """As in `gateway.core.counters.Counter`."""
    amount: Mapped[int] = mapped_column(BigInteger)
    ends_at: Mapped[datetime | None] = mapped_column(index=True)


class Batch(Model):
    """The last charges of a tag that Redis was to be told of: see gateway/jobs/charges.py."""

    __tablename__ = "batches"

    tag: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    batch: Mapped[int] = mapped_column(BigInteger)
    charges: Mapped[str]
