-- title: Which agents fail
-- purpose: Agents' own spans, and how many of them failed.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 50: rows at most
-- column agent -: the agent
-- column calls -: calls, each once
-- column failures -: calls whose span says that they failed
-- column failure_rate -: failures to calls, 0 to 1
-- column mean_s s: of a call
-- column max_s s: of the longest
select
  name as agent,
  count(*) as calls,
  sum(case when failed then 1 else 0 end) as failures,
  cast(sum(case when failed then 1 else 0 end) as double precision) / count(*) as failure_rate,
  avg(duration) as mean_s,
  max(duration) as max_s
from (
  select step_agent as name, duration, step_failed as failed
  from records
  where kind = 'span' and step_kind = 'agent'
    and (:trace_id::text is null or trace_id = :trace_id)
) as calls
group by 1
order by failures desc, calls desc, 1
limit :limit
