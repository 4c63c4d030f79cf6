from spantriage.detectors.example import answers, asks, calls
from spantriage.joining import GROUP, Joiner
from spantriage.model import ToolCall, ToolResult


def call(trace_id, step, *, shows=(), task="go", **fields):
    step.trace_id = step.span_id = trace_id
    step.start_ns = trace_id
    step.content.task = task
    for shown in shows:
        step.content.results.append(ToolResult("found", shown.call_id, call=shown))
    for name, value in fields.items():
        setattr(step, name, value)
    return step


LOOK = ToolCall("look", "call_1", '{"a": 1, "b": 2}')
SAME = ToolCall("look", "call_1", '{"b":2,"a":1}')


def test_a_call_that_shows_what_another_asked_for_continues_it():
    joiner = Joiner()

    assert joiner.key(call(1, asks(LOOK)), bare=True) == 1
    assert joiner.key(call(2, answers(), shows=[SAME]), bare=True) == 1
    assert joiner.leader(2) == 1


def test_id_name_arguments_task_and_scope_must_all_agree():
    joiner = Joiner()
    joiner.key(call(1, asks(LOOK)), bare=True, scope="file")

    others = (
        (call(2, answers(), shows=[ToolCall("look", "call_2", SAME.arguments)]), "file"),
        (call(3, answers(), shows=[ToolCall("find", "call_1", SAME.arguments)]), "file"),
        (call(4, answers(), shows=[ToolCall("look", "call_1", "{}")]), "file"),
        (call(5, answers(), shows=[SAME], task="stop"), "file"),
        (call(6, answers(), shows=[SAME]), "other file"),
    )
    assert [joiner.key(step, bare=True, scope=scope) for step, scope in others] == [2, 3, 4, 5, 6]


def test_a_trace_with_more_than_model_calls_in_it_continues_nothing():
    joiner = Joiner()
    joiner.key(call(1, asks(LOOK), conversation="c"), bare=True)

    assert joiner.key(call(2, answers(), shows=[SAME], conversation="c"), bare=False) == 2


def test_one_conversation_is_one_run():
    joiner = Joiner()

    assert [joiner.key(call(n, answers(), conversation="c"), bare=True) for n in (1, 2, 3)] == [1, 1, 1]
    assert joiner.key(call(4, answers(), conversation="d"), bare=True) == 4


def test_links_join_whichever_end_comes_first():
    joiner = Joiner()
    joiner.link(2, 1)
    tool = calls("look")
    tool.trace_id, tool.start_ns = 2, 7

    assert joiner.key(tool, bare=False) == joiner.leader(1)
    joiner.link(3, 2)
    assert joiner.leader(3) == joiner.leader(1)


def test_the_earliest_trace_leads():
    joiner = Joiner()
    for trace_id in (5, 3, 4):
        joiner.key(call(trace_id, answers()), bare=True)
    joiner.link(5, 4)
    joiner.link(5, 3)

    assert {joiner.leader(trace_id) for trace_id in (3, 4, 5)} == {3}


def test_memory_is_bounded_and_what_was_not_seen_for_long_stays_apart():
    joiner = Joiner(size=10)
    joiner.key(call(1, asks(LOOK)), bare=True)
    for trace_id in range(2, 1_000):
        joiner.key(call(trace_id, asks(ToolCall("look", f"call_{trace_id}", "{}")), conversation=str(trace_id)), bare=True)

    assert joiner.key(call(1_000, answers(), shows=[SAME]), bare=True) == 1_000
    assert all(len(table) <= 10 for table in (joiner._above, joiner._groups, joiner._asked, joiner._talks))


def test_a_group_grows_only_so_far():
    joiner = Joiner()
    for trace_id in range(1, GROUP + 10):
        joiner.key(call(trace_id, answers(), conversation="c"), bare=True)

    assert sum(joiner.leader(trace_id) == 1 for trace_id in range(1, GROUP + 10)) == GROUP


def test_arguments_that_are_no_json_are_compared_as_text():
    joiner = Joiner()
    joiner.key(call(1, asks(ToolCall("look", "call_1", "{broken"))), bare=True)
    joiner.key(call(3, asks(ToolCall("deep", "call_3", "[" * 600 + "]" * 600))), bare=True)

    assert joiner.key(call(2, answers(), shows=[ToolCall("look", "call_1", "{broken")]), bare=True) == 1
    assert joiner.key(call(4, answers(), shows=[ToolCall("deep", "call_3", "[" * 600 + "]" * 600)]), bare=True) == 3
