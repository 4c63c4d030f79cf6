-- title: Rounds of MassGen's agents
-- purpose: How long each agent's rounds took, the latest first.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 20: rows at most
-- column span_name -: agent and round
-- column duration s: from start to end
-- column agent_id -: the agent
-- column round -: number of the round, from 0
-- column round_type -: initial_answer, voting or presentation
select
  span_name,
  duration,
  attributes->>'massgen.agent_id' as agent_id,
  attributes->>'massgen.round' as round,
  attributes->>'massgen.round_type' as round_type
from records
where span_name like 'agent.%'
  and (:trace_id::text is null or trace_id = :trace_id)
order by start_timestamp desc, span_id
limit :limit
