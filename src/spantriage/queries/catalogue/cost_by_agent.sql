-- title: Tokens and cost by agent
-- purpose: What MassGen's agents say of their usage, added up over their rounds. They say running totals: see usage_by_agent.
-- parameter trace_id text: the run
-- column agent -: the agent
-- column total_input_tokens tokens: that went in
-- column total_output_tokens tokens: that came out
-- column total_cost_usd USD: estimated cost
select
  attributes->>'massgen.agent_id' as agent,
  sum((attributes->'massgen.usage.input')::int) as total_input_tokens,
  sum((attributes->'massgen.usage.output')::int) as total_output_tokens,
  sum((attributes->'massgen.usage.cost')::float) as total_cost_usd
from records
where trace_id = :trace_id
  and span_name like 'agent.%'
  and attributes->>'massgen.usage.input' is not null
group by attributes->>'massgen.agent_id'
order by agent
