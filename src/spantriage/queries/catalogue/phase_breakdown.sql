-- title: Time by phase
-- purpose: How long the initial answers, the voting and the presentation of a run took.
-- parameter trace_id text: the run
-- column phase -: initial_answer, voting, presentation or other
-- column count -: rounds
-- column avg_duration_sec s: of a round
-- column max_duration_sec s: of the longest
-- column total_duration_sec s: of all, added up
select
  case
    when span_name like 'agent.%.round_0' then 'initial_answer'
    when span_name like 'agent.%.round_%' then 'voting'
    when span_name like 'agent.%.presentation' then 'presentation'
    else 'other'
  end as phase,
  count(*) as count,
  round(avg(duration)::numeric, 2) as avg_duration_sec,
  round(max(duration)::numeric, 2) as max_duration_sec,
  round(sum(duration)::numeric, 2) as total_duration_sec
from records
where trace_id = :trace_id
  and span_name like 'agent.%'
group by 1
order by total_duration_sec desc, phase
