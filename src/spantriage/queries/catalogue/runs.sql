-- title: Runs
-- purpose: Every trace with its size, the latest first.
-- parameter limit integer = 20: rows at most
-- column trace_id -: the run
-- column root -: name of the span above all
-- column service -: the program
-- column start_timestamp UTC: when it began
-- column duration s: from the first beginning to the last end
-- column spans -: spans and log rows
-- column exceptions -: spans that recorded one
-- column input_tokens tokens: of model calls
-- column output_tokens tokens: of model calls
select
  trace_id,
  max(case when parent_span_id is null then span_name end) as root,
  max(service_name) as service,
  min(start_timestamp) as start_timestamp,
  max(extract(epoch from end_timestamp)) - min(extract(epoch from start_timestamp)) as duration,
  count(*) as spans,
  sum(case when is_exception then 1 else 0 end) as exceptions,
  sum(case when step_kind = 'model' then step_input_tokens end) as input_tokens,
  sum(case when step_kind = 'model' then step_output_tokens end) as output_tokens
from records
where kind <> 'span_event'
group by trace_id
order by start_timestamp desc, trace_id
limit :limit
