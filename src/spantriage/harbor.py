"""`harbor run --plugin spantriage`: watches agents that run inside Harbor's own process, for the length of a job."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final, Protocol

from spantriage.attachment import Triage, attach

__all__ = ["HarborPlugin"]

LOG: Final = logging.getLogger("spantriage")


class Job(Protocol):
    """What we need of Harbor's job."""

    @property
    def job_dir(self) -> Path: ...


class HarborPlugin:
    """Harbor's JobPlugin. Findings go to `findings.jsonl` in the job's folder, or to `--pk sinks=console,...`.

    Agents that Harbor runs in containers leave no spans in its process; judge their recorded runs afterwards.
    """

    def __init__(self, *, sinks: str | None = None, store: str | None = None, **settings: object) -> None:
        self._sinks = sinks
        self._store = store
        self._settings = settings
        self._triage: Triage | None = None

    async def on_job_start(self, job: Job) -> None:
        """Attach to the tracer provider of the process, now or when it is set."""
        sinks = self._sinks.split(",") if self._sinks else [f"jsonl:{job.job_dir / 'findings.jsonl'}"]
        self._triage = attach(sinks=sinks, store=self._store, **self._settings)

    async def on_job_end(self, job_result: object) -> None:
        """Judge what is live and deliver every finding, off Harbor's event loop."""
        triage, self._triage = self._triage, None
        if triage is None:
            return
        await asyncio.to_thread(triage.detach)
        found = triage.status()["self"].get("findings", 0)
        LOG.info("spantriage: %d findings", found)
