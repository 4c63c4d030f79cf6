-- title: Runs with errors
-- purpose: Runs in which a span failed, the latest first.
-- parameter limit integer = 20: rows at most
-- column trace_id -: the run
-- column root -: name of the span above all
-- column failures -: spans that failed
-- column first_error -: type of the first error by name
-- column start_timestamp UTC: when it began
select
  trace_id,
  max(case when parent_span_id is null then span_name end) as root,
  sum(case when step_failed then 1 else 0 end) as failures,
  min(case when step_failed then coalesce(exception_type, attributes->>'error.type') end) as first_error,
  min(start_timestamp) as start_timestamp
from records
where kind <> 'span_event'
group by trace_id
having sum(case when step_failed then 1 else 0 end) > 0
order by start_timestamp desc, trace_id
limit :limit
