-- title: How a run was coordinated
-- purpose: Events, answers, votes, the winner and the final answer of a run in their order.
-- parameter trace_id text: the run
-- column span_name -: name of the span
-- column start_timestamp UTC: when it began
-- column duration s: from start to end
select span_name, start_timestamp, duration
from records
where trace_id = :trace_id
  and (span_name like 'Coordination event:%'
       or span_name like 'Agent answer:%'
       or span_name like 'Agent vote:%'
       or span_name like 'Winner selected:%'
       or span_name like 'Final answer%')
order by start_timestamp, span_id
