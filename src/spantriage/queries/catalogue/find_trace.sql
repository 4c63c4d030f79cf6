-- title: Trace ids of recent MassGen sessions
-- purpose: The latest sessions, to choose one for the other questions.
-- parameter limit integer = 5: rows at most
-- column trace_id -: the run
-- column duration s: from start to end
-- column start_timestamp UTC: when it began
select trace_id, duration, start_timestamp
from records
where span_name = 'coordination.session'
order by start_timestamp desc, span_id
limit :limit
