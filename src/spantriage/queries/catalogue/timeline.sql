-- title: A run along time
-- purpose: The spans of a run as bars: when each began, and how long it took.
-- parameter trace_id text: the run
-- parameter limit integer = 200: rows at most
-- column span_name -: name of the span
-- column started_s s: after the run began
-- column duration s: from start to end
-- column level -: 9 info, 13 warning, 17 error
-- column span_id -: the span
-- show: gantt
with spans as (
  select span_name, span_id, duration, level, extract(epoch from start_timestamp) as begins
  from records
  where trace_id = :trace_id and kind = 'span'
)
select
  span_name,
  begins - (select min(begins) from spans) as started_s,
  duration,
  level,
  span_id
from spans
order by begins, duration desc, span_id
limit :limit
