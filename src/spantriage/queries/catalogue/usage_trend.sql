-- title: Tokens and cost over time
-- purpose: Model calls of each day or hour with their tokens and cost. Calls inside a call count once.
-- parameter by text = day: day or hour
-- parameter limit integer = 100: rows at most
-- column period UTC: beginning of the day or hour
-- column model -: the model
-- column calls -: model calls that say what they used
-- column input_tokens tokens: that went in
-- column output_tokens tokens: that came out
-- column cost_usd USD: where the spans say it
with used as (
  select trace_id, span_id, parent_span_id, step_model as model, step_input_tokens as input, step_output_tokens as output,
    step_cost_usd as cost,
    case when :by = 'hour' then date_trunc('hour', start_timestamp) else date_trunc('day', start_timestamp) end as period
  from records
  where kind <> 'span_event' and step_kind = 'model' and (step_input_tokens is not null or step_output_tokens is not null)
)
select
  used.period as period,
  used.model as model,
  count(*) as calls,
  sum(used.input) as input_tokens,
  sum(used.output) as output_tokens,
  sum(used.cost) as cost_usd
from used
left join used as above on above.trace_id = used.trace_id and above.span_id = used.parent_span_id
where above.span_id is null
group by used.period, used.model
order by period desc, model
limit :limit
