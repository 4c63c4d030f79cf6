-- title: Coordination events
-- purpose: What MassGen's coordination came to, the latest first: events, answers, votes, winners.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 30: rows at most
-- column span_name -: name of the span
-- column message -: the same with its values filled in
-- column duration s: from start to end
-- column start_timestamp UTC: when it began
select span_name, message, duration, start_timestamp
from records
where (span_name like 'Coordination event:%'
   or span_name like 'Agent answer:%'
   or span_name like 'Agent vote:%'
   or span_name like 'Winner selected:%')
  and (:trace_id::text is null or trace_id = :trace_id)
order by start_timestamp desc, span_id
limit :limit
