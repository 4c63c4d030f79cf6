-- title: Time in which each agent was at work
-- purpose: Wall time of the agents of a run: where rounds overlap the time counts once.
-- parameter trace_id text: the run
-- column agent -: the agent
-- column rounds -: spans of the agent
-- column busy_s s: in which at least one of them was open
-- column summed_s s: of all, added up
-- instead of agent_comparison: an agent's spans may be inside each other or overlap, and adding them up counts that time twice.
with rounds as (
  select
    step_agent as agent,
    duration,
    extract(epoch from start_timestamp) as begins,
    extract(epoch from end_timestamp) as ends,
    span_id
  from records
  where trace_id = :trace_id and kind = 'span' and step_kind = 'agent' and step_agent is not null
),
covered as (
  select
    agent,
    duration,
    begins,
    ends,
    max(ends) over (partition by agent order by begins, ends, span_id rows between unbounded preceding and 1 preceding) as before
  from rounds
)
select
  agent,
  count(*) as rounds,
  sum(case when before is null or before <= begins then ends - begins when before < ends then ends - before else 0 end) as busy_s,
  sum(duration) as summed_s
from covered
group by agent
order by agent
