-- title: Sessions that did something
-- purpose: Recent MassGen sessions without the empty ones.
-- parameter limit integer = 10: rows at most
-- column trace_id -: the run
-- column duration s: from start to end
-- column start_timestamp UTC: when it began
-- column spans -: spans and rows of the run
-- instead of recent_sessions: MassGen opens a root and drops it before each session, so that half of those are phantoms: alone in
-- their trace, ended by GeneratorExit.
select roots.trace_id as trace_id, roots.duration as duration, roots.start_timestamp as start_timestamp, sizes.spans as spans
from (
  select trace_id, span_id, duration, start_timestamp
  from records
  where span_name = 'coordination.session'
) as roots
join (
  select trace_id, count(*) as spans
  from records
  where kind <> 'span_event'
  group by trace_id
) as sizes on sizes.trace_id = roots.trace_id
where sizes.spans > 1
order by start_timestamp desc, trace_id
limit :limit
