-- title: The whole structure of a run
-- purpose: Every span of a run with its parent.
-- parameter trace_id text: the run
-- column span_name -: name of the span
-- column span_id -: the span
-- column parent_span_id -: the span above it; null for a root
-- column duration s: from start to end
select span_name, span_id, parent_span_id, duration
from records
where trace_id = :trace_id
order by start_timestamp, span_id
