-- title: Spans of tool calls
-- purpose: MCP calls and the rows that MassGen logs of them, the latest first.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 30: rows at most
-- column span_name -: name of the span
-- column duration s: from start to end
-- column parent_span_id -: the span above it; null for a root
-- column start_timestamp UTC: when it began
select span_name, duration, parent_span_id, start_timestamp
from records
where (span_name like 'mcp.%' or span_name like 'Tool execution:%')
  and (:trace_id::text is null or trace_id = :trace_id)
order by start_timestamp desc, span_id
limit :limit
