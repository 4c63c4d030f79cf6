-- title: MassGen's model calls
-- purpose: Spans around model calls, the latest first. While a reply is streamed they end when the stream opens: see llm_latency.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 30: rows at most
-- column span_name -: name of the span
-- column duration s: until the stream opened
-- column model -: the model that was asked
-- column start_timestamp UTC: when it began
select span_name, duration, attributes->>'gen_ai.request.model' as model, start_timestamp
from records
where span_name like 'llm.%'
  and (:trace_id::text is null or trace_id = :trace_id)
order by start_timestamp desc, span_id
limit :limit
