"""A trial of a benchmark, as steps: its phases, what the agent said in it, what it cost, how it was graded."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Final

from spantriage import text, values
from spantriage.files import Skip
from spantriage.folder import Folder
from spantriage.model import Kind, Step
from spantriage.sources import Labels, Piece, claude_code, ids
from spantriage.sources.atif import Trajectory
from spantriage.sources.claude_code import Session, begun
from spantriage.sources.harbor_causes import cause_of
from spantriage.sources.talk import Failure, Talk, Told, Usage, fail, listed, mapping

__all__ = ["Phase", "Trial"]

STREAMS: Final = ("claude-code.txt", "claude.txt", "claude-code.jsonl", "agent.log")  # Claude Code's output, under its several names
SESSIONS: Final = ("sessions", "projects")
EPISODE: Final = re.compile(r"episode-(\d+)")
EPISODES: Final = 10_000
REPLY_CAP: Final = 1 << 20


@dataclass(slots=True)
class Phase:
    """A part of a trial: preparing, the agent's work, checking it."""

    name: str
    kind: Kind
    start_ns: int | None
    end_ns: int | None
    agent: str | None = None


@dataclass(slots=True)
class Trial:
    """Puts a trial's run together. Give it what the format tells; `pieces` are the run's."""

    trace_id: int
    path: str
    form: str
    labels: dict[str, str]
    start_ns: int
    end_ns: int
    told: Told = field(default_factory=Told)
    calls: dict[str, Step] = field(default_factory=dict)  # tool calls by id
    whole: Step | None = None

    def root(self) -> Step:
        """The trial as a whole."""
        self.whole = self._step("trial", "workflow", self.start_ns, self.end_ns, None)
        return self.whole

    def phase(self, phase: Phase, root: Step, failure: Failure | None = None) -> Step:
        """One phase, failed with what ended it there."""
        start = phase.start_ns if phase.start_ns is not None else self.start_ns
        end = phase.end_ns if phase.end_ns is not None else max(start, self.end_ns)
        step = self._step(phase.name, phase.kind, start, end, root.span_id)
        step.agent = phase.agent
        if failure is not None:
            fail(step, failure)
            if failure.kind is not None and cause_of(failure.kind) == "agent_exhausted_budget" and step.sign in ("error", "timeout"):
                step.sign = "step_limit"
        return step

    def transcript(self, folder: Folder | None, agent: Step) -> Iterator[Piece]:
        """What the agent said and did, from the fullest record that its folder holds."""
        if folder is None:
            return
        if folder.has("trajectory.json"):
            yield from self._trajectory(folder, agent)
            denials = _denials(folder)
        else:
            denials = []
            session = yield from self._stream(folder, agent)
            if session is None:
                yield from self._episodes(folder, agent)
        for denial in denials:
            step = self.calls.get(text.name(denial.get("tool_use_id")) or "")
            if step is not None:
                step.failed, step.sign, step.error_type = True, "permission_denied", "PermissionDenied"
        if denials:
            self.labels["permission_denials"] = str(len(denials))

    def rest(self, agent: Step, total: Usage) -> Step:
        """What nobody has told yet of a total."""
        step = self._step(f"usage of {agent.name}", "event", agent.end_ns, agent.end_ns, agent.span_id)
        step.agent = agent.agent
        rest = self.told.rest(step, total)
        self.told = Told()
        return rest

    def close(self) -> Labels:
        """What is known of the trial besides its steps."""
        return Labels(self.trace_id, {"form": self.form, **self.labels})

    def _step(self, name: str, kind: Kind, start: int, end: int, parent: int | None) -> Step:
        step = Step(self.trace_id, ids.span_id(self.trace_id, name, kind), parent, start, max(start, end), kind, name, self.form)
        step.source = self.path
        return step

    def _note(self, piece: Piece) -> Piece:
        if isinstance(piece, Step):
            self.told.take(piece)
            if piece.kind == "tool" and piece.call_id is not None:
                self.calls[piece.call_id] = piece
        return piece

    def _trajectory(self, folder: Folder, agent: Step) -> Iterator[Piece]:
        trajectory = Trajectory(self.trace_id, folder.file("trajectory.json"), own_id=agent.span_id, folder=folder, start_ns=agent.start_ns)
        trajectory.key, trajectory.agent = agent.name, self.labels.get("agent")
        document = folder.json("trajectory.json")
        for piece in trajectory.read(document) if document else ():
            yield self._note(piece)
        for piece in trajectory.close():
            yield self._note(piece)
        self._adopt(agent, trajectory.talk)

    def _stream(self, folder: Folder, agent: Step) -> Generator[Piece, None, Session | None]:
        """Claude Code's own output, in whatever else the program around it has written; returns the session that was read."""
        for name in [*STREAMS, *(f"{SESSIONS[0]}/{name}" for name in STREAMS[-1:])]:
            head, _, last = name.rpartition("/")
            at = folder.sub(head) if head else folder
            if at is None or not at.has(last):
                continue
            session = self._session(at.file(last), agent)
            found = False
            for line, value in at.objects(last):
                if not found and session.start_ns is None:
                    session.start_ns = agent.start_ns
                found = found or value.get("type") in ("system", "assistant", "user", "result")
                if found:
                    for piece in session.add(value, line):
                        yield self._note(piece)
            if found:
                yield from self._end(session, agent)
                return session
        return (yield from self._sessions(folder, agent))

    def _sessions(self, folder: Folder, agent: Step) -> Generator[Piece, None, Session | None]:
        """The session files that Claude Code keeps; returns the last session that was read."""
        projects = folder.sub(*SESSIONS)
        last: Session | None = None
        for project in projects.subs() if projects is not None else ():
            for name in sorted(each for each in project.files if each.endswith(".jsonl")):
                file = project.open(name)
                if file is None:
                    continue
                with file:
                    last = self._session(file.path, agent)
                    last.start_ns = begun(file.head)
                    for found in values.read(file):
                        if isinstance(found, Skip):
                            yield found
                        elif isinstance(found.value, dict):
                            for piece in last.add(found.value, found.line):
                                yield self._note(piece)
                yield from self._end(last, agent)
        return last

    def _session(self, path: str, agent: Step) -> Session:
        session = Session(path, None, self.trace_id, None, agent.span_id)
        session.agent = self.labels.get("agent") or claude_code.AGENT
        return session

    def _end(self, session: Session, agent: Step) -> Iterator[Piece]:
        for piece in session.close():
            if isinstance(piece, Labels):
                self.labels.update(piece.values)
            else:
                yield self._note(piece)
        self._adopt(agent, session.talks.get(""))
        took = text.number(session.result.get("duration_ms"))
        if took is not None and self.whole is not None:
            agent.end_ns = max(agent.end_ns, agent.start_ns + int(took * 1e6))
            self.whole.end_ns = max(self.whole.end_ns, agent.end_ns)
        if session.failure is not None and not agent.failed:
            fail(agent, session.failure)

    def _episodes(self, folder: Folder, agent: Step) -> Iterator[Step]:
        """Prompts and replies of an agent that keeps a folder for each."""
        numbered = ((EPISODE.fullmatch(sub.name), sub) for sub in folder.subs())
        talk = Talk(
            self.trace_id, agent.agent or agent.name, folder.path, self.form, start_ns=agent.start_ns, key=agent.name, own_id=agent.span_id
        )
        for _, sub in sorted(((int(match[1]), sub) for match, sub in numbered if match is not None), key=lambda pair: pair[0])[:EPISODES]:
            prompt, reply = sub.text("prompt.txt", REPLY_CAP), sub.text("response.txt", REPLY_CAP)
            if prompt is not None:
                yield from talk.add({"role": "user", "content": prompt})
            if reply is not None:
                yield from talk.add({"role": "assistant", "content": reply})
        self._adopt(agent, talk)

    def _adopt(self, agent: Step, talk: Talk | None) -> None:
        """Let the agent's phase know what its conversation knows: the last word, and times and a name that nothing else tells."""
        if talk is None:
            return
        agent.result = agent.result if agent.result is not None else talk.result
        agent.end_ns = max(agent.end_ns, talk.now_ns)
        if "agent" not in self.labels:
            agent.agent = talk.agent
        if self.whole is not None:
            self.whole.end_ns = max(self.whole.end_ns, agent.end_ns)
            if not self.whole.start_ns:
                agent.start_ns = self.whole.start_ns = talk.first_ns or talk.now_ns


def _denials(folder: Folder) -> list[dict[str, object]]:
    """What the agent was refused, as the last line of its output tells."""
    for name in STREAMS:
        for _, value in folder.objects(name):
            if value.get("type") == "result":
                return [mapping(each) for each in listed(value.get("permission_denials"))]
    return []
