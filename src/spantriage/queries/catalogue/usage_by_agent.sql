-- title: True usage of MassGen's agents
-- purpose: What each agent used, from the differences between its rounds.
-- parameter trace_id text: the run
-- column agent -: the agent
-- column rounds -: spans that say what was used
-- column input_tokens tokens: that went in, with the cached ones
-- column output_tokens tokens: that came out, with reasoning
-- column cached_tokens tokens: of those that went in
-- column reasoning_tokens tokens: of those that came out
-- column cost_usd USD: estimated cost
-- instead of cost_by_agent: an agent's spans carry running totals, not what the round used; adding them up counts the first
-- round once for every round that follows. Here each round counts what it adds; a total that falls has begun anew.
with totals as (
  select
    attributes->>'massgen.agent_id' as agent,
    row_number() over (partition by attributes->>'massgen.agent_id' order by end_timestamp, start_timestamp, span_id) as place,
    (attributes->'massgen.usage.input')::bigint as input,
    coalesce((attributes->'massgen.usage.output')::bigint, 0) as output,
    coalesce((attributes->'massgen.usage.cached_input')::bigint, 0) as cached,
    coalesce((attributes->'massgen.usage.reasoning')::bigint, 0) as reasoning,
    coalesce((attributes->'massgen.usage.cost')::float, 0) as cost
  from records
  where trace_id = :trace_id
    and kind = 'span'
    and span_name like 'agent.%'
    and attributes->>'massgen.usage.input' is not null
)
select
  now.agent as agent,
  count(*) as rounds,
  sum(now.input - case when before.input <= now.input then before.input else 0 end) as input_tokens,
  sum(now.output - case when before.output <= now.output then before.output else 0 end) as output_tokens,
  sum(now.cached - case when before.cached <= now.cached then before.cached else 0 end) as cached_tokens,
  sum(now.reasoning - case when before.reasoning <= now.reasoning then before.reasoning else 0 end) as reasoning_tokens,
  sum(now.cost - case when before.cost <= now.cost then before.cost else 0 end) as cost_usd
from totals as now
left join totals as before on before.agent = now.agent and before.place = now.place - 1
group by now.agent
order by agent
