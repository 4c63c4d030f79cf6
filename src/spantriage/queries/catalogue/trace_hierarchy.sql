-- title: The spans of a run
-- purpose: Every span of one run with its parent, in the order of their beginning.
-- parameter trace_id text: the run
-- parameter limit integer = 50: rows at most
-- column span_name -: name of the span
-- column span_id -: the span
-- column parent_span_id -: the span above it; null for a root
-- column duration s: from start to end
-- column start_timestamp UTC: when it began
select span_name, span_id, parent_span_id, duration, start_timestamp
from records
where trace_id = :trace_id
order by start_timestamp, span_id
limit :limit
