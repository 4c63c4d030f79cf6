-- title: Slow tool calls of a run
-- purpose: MCP calls of a run, the slowest first.
-- parameter trace_id text: the run
-- column span_name -: name of the span
-- column duration s: from start to end
-- column parent_span_id -: the span above it; null for a root
select span_name, duration, parent_span_id
from records
where trace_id = :trace_id and span_name like 'mcp.%'
order by duration desc, span_id
