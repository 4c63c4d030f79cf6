-- title: How long things take
-- purpose: Percentiles of the time by kind of step and name.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 50: rows at most
-- column step -: agent, model or tool
-- column name -: the agent, model or tool
-- column calls -: spans
-- column p50_s s: half are faster
-- column p95_s s: 19 of 20 are faster
-- column p99_s s: 99 of 100 are faster
-- column max_s s: the slowest
select
  step_kind as step,
  case when step_kind = 'tool' then step_tool when step_kind = 'model' then step_model else step_agent end as name,
  count(*) as calls,
  percentile_cont(0.5) within group (order by duration) as p50_s,
  percentile_cont(0.95) within group (order by duration) as p95_s,
  percentile_cont(0.99) within group (order by duration) as p99_s,
  max(duration) as max_s
from records
where kind = 'span' and step_kind is not null
  and (:trace_id::text is null or trace_id = :trace_id)
group by 1, 2
order by step, p95_s desc, name
limit :limit
