-- title: Which models fail
-- purpose: Calls, failures and times of each model.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 50: rows at most
-- column model -: the model
-- column calls -: calls, each once
-- column failures -: calls whose span says that they failed
-- column failure_rate -: failures to calls, 0 to 1
-- column mean_s s: of a call
-- column max_s s: of the longest
select
  name as model,
  count(*) as calls,
  sum(case when failed then 1 else 0 end) as failures,
  cast(sum(case when failed then 1 else 0 end) as double precision) / count(*) as failure_rate,
  avg(duration) as mean_s,
  max(duration) as max_s
from (
  select call.name as name, call.duration as duration, call.failed as failed
  from (
    select step_model as name, duration, step_failed as failed, trace_id, span_id
    from records
    where kind = 'span' and step_kind = 'model'
      and (:trace_id::text is null or trace_id = :trace_id)
  ) as call
  left join (
    select distinct trace_id, parent_span_id
    from records
    where kind = 'span' and step_kind = 'model'
      and (:trace_id::text is null or trace_id = :trace_id)
  ) as below on below.trace_id = call.trace_id and below.parent_span_id = call.span_id
  where below.parent_span_id is null
) as calls
group by 1
order by failures desc, calls desc, 1
limit :limit
