import itertools
import json
import random

import pytest
from otlp_forms import CAPTURES, FORMS, agent_run, captured, lines, model_call, one_each, replayed, request, said, span

from spantriage.detectors import all_detectors
from spantriage.detectors.example import agent, build, calls, fails
from spantriage.engine import Engine, select
from spantriage.joining import LINKS
from spantriage.replay import Replay
from spantriage.sources import Labels

EXPECTED = {
    "langchain_tool_error": "tool.error",
    "openai_loop": "loop.repeated_call",
    "pydantic_ai_unknown_tool": "tool.unknown",
    "smolagents_rate_limited": "model.rate_limited",
}


@pytest.fixture
def write(tmp_path):
    """Write a file into a folder that holds nothing else."""

    def written(content, name="run.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return written


@pytest.fixture(params=CAPTURES)
def capture(request):
    return request.param


@pytest.mark.parametrize("form", FORMS)
def test_a_run_gives_the_same_findings_in_whatever_form_it_is_stored(write, capture, form):
    runs, replay = replayed(write(lines(captured(capture)), "plain.jsonl"))
    other, stored = replayed(write(FORMS[form](captured(capture)), "stored"))

    assert EXPECTED[capture] in {finding["code"] for finding in said(runs)}
    assert said(other) == said(runs)
    assert stored.counts == replay.counts
    assert stored.skips == []


def test_the_order_of_spans_does_not_matter(write, capture):
    spans = one_each(captured(capture))
    expected, _ = replayed(write(lines(spans)))

    for seed in range(10):
        random.Random(seed).shuffle(spans)
        runs, _ = replayed(write(lines(spans)))
        assert said(runs) == said(expected)


def test_a_span_that_is_there_twice_counts_once(write, capture):
    spans = one_each(captured(capture))
    expected, _ = replayed(write(lines(spans)))
    runs, replay = replayed(write(lines(spans + spans[::-1])))

    assert said(runs) == said(expected)
    assert replay.counts["duplicates"] == len(spans)


def test_of_two_spans_with_one_id_the_more_complete_one_counts(write):
    tool, top = agent_run(1)
    early = {**tool, "status": {}, "endTimeUnixNano": "0", "attributes": tool["attributes"][:1]}

    for order in ([early, tool, top], [tool, early, top]):
        (run,), _ = replayed(write(lines([request(*order)])))
        assert "tool.error" in {finding.code for finding in run.findings}


@pytest.mark.parametrize("name", [name for name in CAPTURES if name != "openai_loop"])
def test_a_trace_may_be_spread_over_files(write, name):
    spans = one_each(captured(name))
    expected, _ = replayed(write(lines(spans), "whole/run.jsonl"))
    write(lines(spans[::2]), "split/b.jsonl")
    last = write(lines(spans[1::2]), "split/a.jsonl")
    runs, _ = replayed(last.parent)

    assert said(runs) == said(expected)


def test_findings_name_the_file_that_holds_their_span(write):
    tool, top = agent_run(1)
    path = write(lines([request(tool)]), "tools.jsonl")
    (run,), _ = replayed(path, write(lines([request(top)]), "agents.jsonl"))

    assert {f.source for f in run.findings if f.code == "tool.error"} == {str(path)}


def test_model_calls_that_are_one_conversation_are_one_run(write):
    (run,), replay = replayed(write(lines(captured("openai_loop"))))

    assert [finding.code for finding in run.findings] == ["loop.repeated_call"]
    assert replay.counts["steps"] == 5
    assert len(run.judgement.run.steps) == 5
    assert run.judgement.run.trace_id == min(run.judgement.run.steps.values(), key=lambda step: step.start_ns).trace_id


def conversation(first, **more):
    """Three model calls, each in its own trace; every one shows what the ones before have asked for."""
    return [
        model_call(first, at=0, asks="call_1", **more),
        model_call(first + 1, at=2, asks="call_2", shows=["call_1"], **more),
        model_call(first + 2, at=4, shows=["call_1", "call_2"], **more),
    ]


def traces(runs):
    return sorted(sorted({step.trace_id for step in run.judgement.run.steps.values()}) for run in runs)


def test_joining_does_not_depend_on_the_order_of_traces(write):
    for order in itertools.permutations(conversation(1)):
        runs, _ = replayed(write(lines([request(*order)])))
        assert traces(runs) == [[1, 2, 3]]
        assert runs[0].judgement.run.trace_id == 1


def test_a_history_that_is_sent_again_is_read_once(write):
    (run,), _ = replayed(write(lines([request(*conversation(1))])))

    shown = [len(step.content.results) for step in run.judgement.run.steps.values()]
    assert shown == [0, 1, 1]


def test_conversations_about_other_tasks_stay_apart(write):
    runs, _ = replayed(write(lines([request(*conversation(1), *conversation(11, task="stop"))])))

    assert traces(runs) == [[1, 2, 3], [11, 12, 13]]


def test_equal_conversations_in_two_files_stay_apart(write):
    first = write(lines([request(*conversation(1))]), "a.jsonl")
    runs, _ = replayed(first, write(lines([request(*conversation(11))]), "b.jsonl"))

    assert traces(runs) == [[1, 2, 3], [11, 12, 13]]


def test_a_conversation_that_is_in_two_files_is_still_one(write):
    first = write(lines([request(*conversation(1))]), "a.jsonl")
    runs, _ = replayed(first, write(lines([request(*conversation(1))]), "b.jsonl"))

    assert traces(runs) == [[1, 2, 3]]


def test_model_calls_with_one_conversation_id_are_one_run(write):
    spans = [model_call(trace, at=trace, task=f"task {trace}", **{"gen_ai.conversation.id": "c"}) for trace in (1, 2)]
    runs, _ = replayed(write(lines([request(*spans, model_call(3, at=3))])))

    assert traces(runs) == [[1, 2], [3]]


def test_agents_are_not_joined_by_their_conversation(write):
    spans = agent_run(1, **{"gen_ai.conversation.id": "c"}) + agent_run(2, at=5, **{"gen_ai.conversation.id": "c"})
    runs, _ = replayed(write(lines([request(*spans)])))

    assert traces(runs) == [[1], [2]]


def test_traces_that_link_to_each_other_are_one_run(write):
    later = agent_run(2, at=5, links=[(3, 1)])
    between = span(3, "send", at=3, links=[(1, 1)])  # a trace without a step of its own
    runs, _ = replayed(write(lines([request(*later, between, *agent_run(1), *agent_run(4, at=9))])))

    assert traces(runs) == [[1, 2], [4]]
    assert sorted(run.spans for run in runs) == [2, 5]


def test_a_span_that_links_to_many_traces_joins_none(write):
    spans = [each for trace in range(1, LINKS + 2) for each in agent_run(trace, at=trace)]
    batch = agent_run(99, at=50, links=[(trace, 1) for trace in range(1, LINKS + 2)])
    runs, _ = replayed(write(lines([request(*spans, *batch)])))

    assert len(runs) == LINKS + 2


def test_setting_up_an_agent_is_no_run_unless_it_fails(write):
    setup = span(1, "create_agent helper", **{"gen_ai.operation.name": "create_agent"})
    runs, replay = replayed(write(lines([request(setup, span(2, "GET /"))])))
    assert runs == []
    assert replay.counts["spans_without_run"] == 2

    setup["status"] = {"code": 2, "message": "no key"}
    runs, _ = replayed(write(lines([request(setup)])))
    assert [run.judgement.outcome for run in runs] == ["error"]


def test_what_cannot_be_read_is_counted_and_the_rest_is_judged(write):
    bad = write(b"PK\x03\x04 no trace at all", "bad.jsonl")
    good = lines([request(*agent_run(1))])
    path = write(good + b"{broken\n" + lines([request({"name": "no ids"})]), "some.jsonl")
    runs, replay = replayed(bad, path.parent / "missing.jsonl", path)

    assert len(runs) == 1
    assert [(skip.path, skip.line) for skip in replay.skips] == [
        (str(bad), 0),
        (str(path.parent / "missing.jsonl"), 0),
        (str(path), 2),
        (str(path), 3),
    ]
    assert replay.counts["skips"] == 4


def test_json_of_another_kind_is_passed_over_in_a_folder_and_refused_by_name(write):
    path = write(b'{"name": "package", "version": "1.0.0"}', "folder/package.json")
    write(lines([request(*agent_run(1))]), "folder/run.jsonl")

    runs, replay = replayed(path.parent)
    assert (len(runs), replay.skips, replay.counts["files_passed_over"]) == (1, [], 1)
    _, replay = replayed(path)
    assert [skip.path for skip in replay.skips] == [str(path)]


def test_a_folder_gives_the_runs_of_all_its_files(write):
    for trace, name in enumerate(("b/2.json", "a/1.jsonl", "3.jsonl"), 1):
        last = write(lines([request(*agent_run(trace, at=trace))]), f"folder/{name}")
    runs, _ = replayed(last.parent)

    assert traces(runs) == [[1], [2], [3]]


def test_when_room_is_short_the_oldest_traces_are_judged_early(write):
    spans = [each for trace in range(1, 40) for each in agent_run(trace, at=trace)]
    path = write(lines([request(each) for each in spans]))
    expected, _ = replayed(path)
    runs, replay = replayed(path, held_bytes=30_000)

    assert said(runs) == said(expected)
    assert replay.counts["runs_judged_early"] > 10
    assert replay.counts["traces_cut"] == 0


def test_what_comes_for_a_trace_after_it_was_judged_is_counted(write):
    tool, top = agent_run(1)
    others = [each for trace in range(2, 40) for each in agent_run(trace, at=trace)]
    _, replay = replayed(write(lines([request(tool, *others, top)])), held_bytes=30_000)

    assert replay.counts["traces_cut"] == 1


def test_the_primary_cause_is_named_when_the_run_is_known_to_have_failed(write):
    path = write(lines([request(*agent_run(1))]))

    (run,), _ = replayed(path)
    assert run.primary is None
    (run,), _ = replayed(path, assume_failed=True)
    assert run.primary is not None


def test_steps_that_a_source_has_made_are_judged_with_its_labels():
    made = build((agent(), fails(calls("look"), "ValueError", "no such place")))
    replay = Replay(Engine(select(all_detectors())))
    for step in made.steps.values():
        replay.add(step, "trial.json")
        replay.add(step, "trial.json")
    replay.add(Labels(made.trace_id, {"trial_name": "t__1", "task_name": "t", "outcome": "failed"}), "trial.json")
    (run,) = replay.finish()

    assert {(f.trial_name, f.task_name, f.outcome) for f in run.findings} == {("t__1", "t", "failed")}
    assert "tool.error" in {finding.code for finding in run.findings}
    assert run.judgement.outcome == "failed"
    assert replay.counts["duplicates"] == 2


def test_a_run_that_cannot_be_judged_costs_that_run_only(write):
    class Picky(Engine):
        def judge(self, run, **settings):
            if run.trace_id == 1:
                raise ArithmeticError("not this one")
            return super().judge(run, **settings)

    replay = Replay(Picky(select(all_detectors())))
    runs = list(replay.scan([write(lines([request(*agent_run(1), *agent_run(2))]))]))

    assert traces(runs) == [[2]]
    assert "not this one" in replay.skips[0].reason


def test_many_skips_are_counted_and_a_thousand_kept(write):
    _, replay = replayed(write(json.dumps(request()).encode() + b"\n" + b"{\n" * 1_500))

    assert replay.counts["skips"] == 1_500
    assert len(replay.skips) == 1_000
