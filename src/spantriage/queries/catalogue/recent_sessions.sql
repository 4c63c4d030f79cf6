-- title: Recent MassGen sessions
-- purpose: The latest coordination sessions.
-- parameter limit integer = 10: rows at most
-- column span_name -: name of the span
-- column trace_id -: the run
-- column duration s: from start to end
-- column start_timestamp UTC: when it began
select span_name, trace_id, duration, start_timestamp
from records
where span_name = 'coordination.session'
order by start_timestamp desc, span_id
limit :limit
