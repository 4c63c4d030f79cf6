-- title: How long model calls took
-- purpose: The time of each model call to the end of its reply, the latest first. A reply that was streamed is in a row of its own, which
-- counts from the opening of the stream; where a program stopped reading early that row is written late.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 30: rows at most
-- column model -: the model
-- column opened_s s: until the reply, or its stream, was there
-- column streamed_s s: that the stream went on; null where nothing was streamed
-- column call_s s: both
-- column input_tokens tokens: that went in
-- column output_tokens tokens: that came out
-- column trace_id -: the run
-- column span_id -: the span
-- column start_timestamp UTC: when it began
-- instead of llm_calls: the duration of a span around a streamed reply ends when the stream opens.
with calls as (
  select trace_id, span_id, parent_span_id, step_model as model, duration, start_timestamp, end_timestamp,
    step_input_tokens as input, step_output_tokens as output
  from records
  where kind = 'span' and step_kind = 'model'
    and (:trace_id::text is null or trace_id = :trace_id)
),
streams as (
  select trace_id, span_id, parent_span_id, start_timestamp, (attributes->'duration')::float as lasted,
    step_input_tokens as input, step_output_tokens as output
  from records
  where kind = 'log' and step_kind = 'model'
    and attributes->>'duration' is not null
    and (:trace_id::text is null or trace_id = :trace_id)
),
paired as (
  select
    calls.span_id as span_id,
    calls.trace_id as trace_id,
    streams.lasted as lasted,
    streams.input as input,
    streams.output as output,
    row_number() over (
      partition by streams.span_id
      order by abs(extract(epoch from streams.start_timestamp) - streams.lasted - extract(epoch from calls.end_timestamp)), calls.span_id
    ) as nearest
  from streams
  join calls on calls.trace_id = streams.trace_id and calls.parent_span_id = streams.parent_span_id
)
select
  calls.model as model,
  calls.duration as opened_s,
  paired.lasted as streamed_s,
  calls.duration + coalesce(paired.lasted, 0) as call_s,
  coalesce(paired.input, calls.input) as input_tokens,
  coalesce(paired.output, calls.output) as output_tokens,
  calls.trace_id as trace_id,
  calls.span_id as span_id,
  calls.start_timestamp as start_timestamp
from calls
left join paired on paired.span_id = calls.span_id and paired.trace_id = calls.trace_id and paired.nearest = 1
left join (select distinct trace_id, parent_span_id from calls) as below
  on below.trace_id = calls.trace_id and below.parent_span_id = calls.span_id
where below.parent_span_id is null
order by start_timestamp desc, span_id
limit :limit
