"""The demo's model server, over real HTTP."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from spantriage.demo.scenarios import ANSWER, FINAL_TOOL, MISSING_TOOL, PATIENCE, SCENARIOS, Tool, plausible
from spantriage.demo.server import BODY_CAP, ModelServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}
STATUS = {
    "type": "function",
    "function": {"name": "job_status", "parameters": {"type": "object", "properties": {"job": {"type": "integer"}}}},
}
QUESTION = {"role": "user", "content": "What is the weather in Paris?"}
Json = dict[str, Any]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(delay_s=0.1) as running:
        yield running


@contextmanager
def connection(server: ModelServer) -> Iterator[http.client.HTTPConnection]:
    host = server.base_url.removeprefix("http://").removesuffix("/v1")
    opened = http.client.HTTPConnection(host, timeout=5)
    try:
        yield opened
    finally:
        opened.close()


def post(server: ModelServer, path: str, body: Json | bytes) -> tuple[int, Json]:
    with connection(server) as opened:
        opened.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
        reply = opened.getresponse()
        return reply.status, json.loads(reply.read())


def chat(server: ModelServer, model: str, *messages: Json, tools: list[Json] | None = None) -> Json:
    """The first choice of a chat completion."""
    status, body = post(server, "/v1/chat/completions", {"model": model, "messages": [QUESTION, *messages], "tools": tools or [WEATHER]})
    assert status == 200, body
    choice: Json = body["choices"][0]
    return choice


def events(server: ModelServer, request: Json) -> list[str]:
    """The `data:` lines of a stream."""
    with connection(server) as opened:
        opened.request("POST", "/v1/chat/completions", json.dumps({"stream": True, "messages": [QUESTION], **request}))
        reply = opened.getresponse()
        assert reply.headers.get_content_type() == "text/event-stream"
        raw = reply.read().decode()
    assert raw.endswith("\n\n")
    lines = raw.removesuffix("\n\n").split("\n\n")
    assert all(line.startswith("data: ") for line in lines)
    return [line.removeprefix("data: ") for line in lines]


def converse(server: ModelServer, model: str, results: list[str], tools: list[Json] | None = None) -> tuple[int, Json]:
    """Answer every tool call with the next of `results`; how many calls there were, and the last choice."""
    messages: list[Json] = []
    for number, result in enumerate(results):
        choice = chat(server, model, *messages, tools=tools)
        if choice["finish_reason"] != "tool_calls":
            return number, choice
        call = choice["message"]["tool_calls"][0]
        messages += [choice["message"], {"role": "tool", "tool_call_id": call["id"], "content": result}]
    return len(results), chat(server, model, *messages, tools=tools)


def test_ok_asks_for_the_first_tool_once_with_fitting_arguments_and_then_answers(server: ModelServer) -> None:
    choice = chat(server, "ok", tools=[WEATHER, STATUS])

    call = choice["message"]["tool_calls"][0]
    assert (choice["finish_reason"], call["function"]["name"]) == ("tool_calls", "get_weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    assert converse(server, "ok", ["sunny", "never asked"])[0] == 1


def test_without_tools_every_model_that_would_ask_answers_at_once(server: ModelServer) -> None:
    for model in ("ok", "loop", "unknowntool", "badjson", "wrongargs", "parallel", "poll"):
        _, body = post(server, "/v1/chat/completions", {"model": model, "messages": [QUESTION]})

        assert body["choices"][0]["message"]["content"] == ANSWER, model


def test_an_agent_that_ends_by_a_tool_gets_its_answer_as_a_call_of_it(server: ModelServer) -> None:
    final = {"type": "function", "function": {"name": FINAL_TOOL, "parameters": {"properties": {"answer": {"type": "string"}}}}}

    choice = chat(server, "ok", {"role": "tool", "tool_call_id": "call_1_0", "content": "sunny"}, tools=[WEATHER, final])

    call = choice["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == (FINAL_TOOL, {"answer": ANSWER})


def test_a_new_question_starts_a_new_turn(server: ModelServer) -> None:
    choice = chat(
        server, "ok", {"role": "tool", "tool_call_id": "call_1_0", "content": "sunny"}, {"role": "user", "content": "And in Oslo?"}
    )

    assert choice["finish_reason"] == "tool_calls"


def test_usage_is_constant_and_ids_are_unique(server: ModelServer) -> None:
    request = {"model": "parallel", "messages": [QUESTION], "tools": [WEATHER]}
    bodies = [post(server, "/v1/chat/completions", request)[1] for _ in range(3)]

    assert [body["id"] for body in bodies] == ["chatcmpl-1", "chatcmpl-2", "chatcmpl-3"]
    assert [call["id"] for body in bodies for call in body["choices"][0]["message"]["tool_calls"]][:3] == [
        "call_1_0",
        "call_1_1",
        "call_2_0",
    ]
    for body in bodies:
        assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (120, 30)
        assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 64
        assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 16


def test_loop_asks_for_the_same_until_its_patience_ends(server: ModelServer) -> None:
    number, choice = converse(server, "loop", ["sunny"] * (PATIENCE + 3))

    assert number == PATIENCE
    assert choice["message"]["content"] == ANSWER


def test_poll_asks_the_status_tool_until_its_result_says_done(server: ModelServer) -> None:
    first = chat(server, "poll", tools=[WEATHER, STATUS])
    number, choice = converse(server, "poll", ["10 %", "60 %", "done", "never asked"], tools=[WEATHER, STATUS])

    assert first["message"]["tool_calls"][0]["function"]["name"] == "job_status"
    assert (number, choice["finish_reason"]) == (3, "stop")


def test_unknowntool_asks_for_a_tool_that_was_not_declared(server: ModelServer) -> None:
    call = chat(server, "unknowntool")["message"]["tool_calls"][0]

    assert call["function"]["name"] == MISSING_TOOL


def test_badjson_cuts_the_arguments_off(server: ModelServer) -> None:
    for tools in ([WEATHER], [{"type": "function", "function": {"name": "now"}}]):
        arguments = chat(server, "badjson", tools=tools)["message"]["tool_calls"][0]["function"]["arguments"]

        with pytest.raises(json.JSONDecodeError):
            json.loads(arguments)


def test_wrongargs_parse_but_do_not_fit_the_schema(server: ModelServer) -> None:
    arguments = json.loads(chat(server, "wrongargs")["message"]["tool_calls"][0]["function"]["arguments"])

    assert "city" not in arguments


def test_parallel_asks_for_two_tools_at_once(server: ModelServer) -> None:
    calls = chat(server, "parallel", tools=[WEATHER, STATUS])["message"]["tool_calls"]
    twice = chat(server, "parallel")["message"]["tool_calls"]

    assert [call["function"]["name"] for call in calls] == ["get_weather", "job_status"]
    assert twice[0]["function"]["arguments"] != twice[1]["function"]["arguments"]


def test_finish_reasons_and_contents_of_the_models_that_only_talk(server: ModelServer) -> None:
    expected = {"textonly": ("stop", True), "length": ("length", True), "empty": ("stop", False), "filter": ("content_filter", False)}
    for model, (finish, speaks) in expected.items():
        choice = chat(server, model)

        assert (choice["finish_reason"], bool(choice["message"]["content"])) == (finish, speaks), model
    refused = chat(server, "refusal")["message"]
    assert refused["content"] is None
    assert "can't help" in refused["refusal"]


def test_http_errors_carry_the_status_and_an_openai_error_body(server: ModelServer) -> None:
    for status, code in ((429, "rate_limit_exceeded"), (500, "server_error"), (401, "invalid_api_key")):
        for streamed in (False, True):
            got, body = post(server, "/v1/chat/completions", {"model": f"http{status}", "messages": [], "stream": streamed})

            assert (got, body["error"]["code"]) == (status, code)


def test_flaky_fails_once_and_then_works(server: ModelServer) -> None:
    request = {"model": "flaky", "messages": [QUESTION], "tools": [WEATHER]}

    assert [post(server, "/v1/chat/completions", request)[0] for _ in range(3)] == [500, 200, 200]


def test_slow_answers_after_the_delay_that_was_set(server: ModelServer) -> None:
    before = time.monotonic()
    choice = chat(server, "slow")

    assert time.monotonic() - before >= 0.1
    assert choice["message"]["content"] == ANSWER


def test_leaving_does_not_wait_for_a_slow_reply() -> None:
    with ModelServer(delay_s=60.0) as server:
        with connection(server) as opened:
            opened.request("POST", "/v1/chat/completions", json.dumps({"model": "slow", "messages": []}))
        before = time.monotonic()

    assert time.monotonic() - before < 5


def test_a_stream_is_framed_as_events_with_usage_and_an_end(server: ModelServer) -> None:
    lines = events(server, {"model": "textonly", "stream_options": {"include_usage": True}})

    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks[:-1]) == ANSWER
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 150)
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-1"}


def test_a_stream_without_the_usage_option_has_none(server: ModelServer) -> None:
    chunks = [json.loads(line) for line in events(server, {"model": "textonly"})[:-1]]

    assert all("usage" not in chunk for chunk in chunks)


def test_streamed_tool_calls_add_up_to_the_whole_ones(server: ModelServer) -> None:
    chunks = [json.loads(line) for line in events(server, {"model": "parallel", "tools": [WEATHER]})[:-1]]

    pieces: dict[int, str] = {}
    names = []
    for chunk in chunks:
        for call in chunk["choices"][0]["delta"].get("tool_calls", []):
            names += [call["function"]["name"]] if "id" in call else []
            pieces[call["index"]] = pieces.get(call["index"], "") + call["function"]["arguments"]
    assert names == ["get_weather", "get_weather"]
    assert [json.loads(piece) for piece in pieces.values()] == [{"city": "Paris"}, {"city": "Oslo"}]


def test_drop_closes_the_connection_after_two_chunks(server: ModelServer) -> None:
    with connection(server) as opened:
        opened.request("POST", "/v1/chat/completions", json.dumps({"model": "drop", "messages": [], "stream": True}))
        with pytest.raises(http.client.IncompleteRead) as caught:
            opened.getresponse().read()

    assert caught.value.partial.count(b"data: ") == 2
    assert b"[DONE]" not in caught.value.partial


def test_drop_without_a_stream_breaks_off_in_the_middle_of_the_body(server: ModelServer) -> None:
    for path in ("/v1/chat/completions", "/v1/responses"):
        with connection(server) as opened:
            opened.request("POST", path, json.dumps({"model": "drop"}))
            with pytest.raises(http.client.IncompleteRead):
                opened.getresponse().read()


def test_responses_tell_the_same_in_their_own_shape(server: ModelServer) -> None:
    tool = {"type": "function", "name": "get_weather", "parameters": WEATHER["function"]["parameters"]}  # type: ignore[index]  # a JSON literal
    _, asked = post(server, "/v1/responses", {"model": "ok", "input": "weather?", "tools": [tool]})
    call = asked["output"][0]
    history = [
        {"role": "user", "content": "weather?"},
        call,
        {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"},
    ]
    _, answered = post(server, "/v1/responses", {"model": "ok", "input": history, "tools": [tool]})
    _, cut = post(server, "/v1/responses", {"model": "length", "input": "weather?"})

    assert (call["type"], json.loads(call["arguments"])) == ("function_call", {"city": "Paris"})
    assert answered["output"][0]["content"][0]["text"] == ANSWER
    assert (answered["status"], answered["usage"]["input_tokens_details"]["cached_tokens"]) == ("completed", 64)
    assert (cut["status"], cut["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_models_lists_every_scenario(server: ModelServer) -> None:
    with connection(server) as opened:
        opened.request("GET", "/v1/models")
        listed = json.loads(opened.getresponse().read())

    assert [model["id"] for model in listed["data"]] == list(SCENARIOS)


def test_what_cannot_be_served_is_said_so(server: ModelServer) -> None:
    known = {"model": "ok", "messages": []}
    assert post(server, "/v1/chat/completions", {"model": "gpt-9"})[1]["error"]["code"] == "model_not_found"
    assert post(server, "/v1/embeddings", known)[0] == 404
    assert post(server, "/v1/responses", {**known, "stream": True})[0] == 400
    assert post(server, "/v1/responses", {"model": ["ok"]})[0] == 404
    for body in (b"", b"not json", b"[1]", b'{"a":' * 5_000):
        assert post(server, "/v1/chat/completions", body)[0] == 400
    odd: Json = {"model": "ok", "messages": [1, {"role": 2}], "tools": [7, {"function": {"name": []}}, {"name": "x", "parameters": []}]}
    assert post(server, "/v1/chat/completions", odd)[0] == 200


def test_a_body_beyond_the_cap_is_not_read(server: ModelServer) -> None:
    with connection(server) as opened:
        opened.putrequest("POST", "/v1/chat/completions")
        opened.putheader("Content-Length", str(BODY_CAP + 1))
        opened.endheaders()

        assert opened.getresponse().status == 400


def test_the_port_is_closed_after_exit() -> None:
    with ModelServer() as server:
        port = int(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
        chat(server, "ok")

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    with pytest.raises(RuntimeError, match="not running"):
        server.base_url  # noqa: B018  # reading it is the test


def test_the_server_listens_on_the_loopback_interface_only_and_asks_no_name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> str:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getfqdn", refuse)
    with ModelServer() as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        chat(server, "ok")


def test_the_server_writes_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], server: ModelServer
) -> None:
    monkeypatch.chdir(tmp_path)
    for model in SCENARIOS:
        with connection(server) as opened:
            opened.request(
                "POST", "/v1/chat/completions", json.dumps({"model": model, "messages": [QUESTION], "tools": [WEATHER], "stream": True})
            )
            opened.getresponse().close()  # a client that goes away in the middle, too

    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_conversations_at_the_same_time_do_not_mix(server: ModelServer) -> None:
    numbers: dict[str, int] = {}

    def run(model: str) -> None:
        numbers[model] = converse(server, model, ["sunny"] * 20)[0]

    threads = [threading.Thread(target=run, args=(model,)) for model in ("ok", "loop", "textonly", "badjson")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert numbers == {"ok": 1, "loop": PATIENCE, "textonly": 0, "badjson": 1}


def test_plausible_arguments_follow_the_schema() -> None:
    properties = {
        "city": {"type": "string"},
        "unit": {"enum": ["C", "F"]},
        "days": {"type": "integer"},
        "limit": {"type": "integer", "default": 5},
        "detail": {"type": "boolean"},
        "tags": {"type": "array"},
        "odd": True,
    }
    assert json.loads(plausible(Tool("forecast", {"properties": properties}))) == {
        "city": "Paris", "unit": "C", "days": 1, "limit": 5, "detail": True, "tags": [], "odd": "example",
    }  # fmt: skip
    assert plausible(Tool("now", {})) == "{}"


def test_the_openai_client_reads_replies_streams_and_errors(server: ModelServer) -> None:
    openai = pytest.importorskip("openai")
    with (
        openai.DefaultHttpxClient(trust_env=False) as plain,
        openai.OpenAI(base_url=server.base_url, api_key="none", http_client=plain) as client,
    ):
        whole = client.chat.completions.create(model="ok", messages=[QUESTION], tools=[WEATHER])
        stream = client.chat.completions.create(model="textonly", messages=[QUESTION], stream=True, stream_options={"include_usage": True})
        pieces = list(stream)
        response = client.responses.create(model="refusal", input="weather?")
        flaky = client.chat.completions.create(model="flaky", messages=[QUESTION])  # the client tries again
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="http429", messages=[QUESTION])
        with pytest.raises(openai.AuthenticationError):
            client.chat.completions.create(model="http401", messages=[QUESTION])
        with pytest.raises(openai.APIConnectionError):
            list(client.chat.completions.create(model="drop", messages=[QUESTION], stream=True))

        assert whole.choices[0].message.tool_calls[0].function.name == "get_weather"
        assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == ANSWER
        assert pieces[-1].usage.prompt_tokens_details.cached_tokens == 64
        assert response.output[0].content[0].type == "refusal"
        assert flaky.choices[0].message.content == ANSWER
        assert client.models.list().data[0].id == "ok"
