-- title: Tool calls, each once
-- purpose: Calls of tools in all libraries, the latest first; of spans around one call the innermost.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 30: rows at most
-- column tool -: the tool
-- column agent -: the agent, where the span names it
-- column duration s: from start to end
-- column failed -: whether its span says so
-- column error -: type of the error
-- column trace_id -: the run
-- column span_id -: the span
-- column start_timestamp UTC: when it began
-- instead of tool_calls: one MCP call of MassGen leaves up to three rows there: the wrapper's span, the client's span and a
-- log row without a duration.
select
  call.tool as tool,
  call.agent as agent,
  call.duration as duration,
  call.failed as failed,
  call.error as error,
  call.trace_id as trace_id,
  call.span_id as span_id,
  call.start_timestamp as start_timestamp
from (
  select step_tool as tool, step_agent as agent, duration, step_failed as failed,
    coalesce(exception_type, attributes->>'error.type') as error, trace_id, span_id, start_timestamp
  from records
  where kind = 'span' and step_kind = 'tool'
    and (:trace_id::text is null or trace_id = :trace_id)
) as call
left join (
  select distinct trace_id, parent_span_id
  from records
  where kind = 'span' and step_kind = 'tool'
    and (:trace_id::text is null or trace_id = :trace_id)
) as below on below.trace_id = call.trace_id and below.parent_span_id = call.span_id
where below.parent_span_id is null
order by start_timestamp desc, span_id
limit :limit
