-- title: Agents of a run side by side
-- purpose: Rounds of each agent and the time they took, added up.
-- parameter trace_id text: the run
-- column agent -: the agent
-- column rounds -: spans of the agent
-- column total_time s: of all rounds, added up
-- column avg_round_time s: of a round
select
  attributes->>'massgen.agent_id' as agent,
  count(*) as rounds,
  sum(duration) as total_time,
  avg(duration) as avg_round_time
from records
where trace_id = :trace_id and span_name like 'agent.%'
group by attributes->>'massgen.agent_id'
order by agent
