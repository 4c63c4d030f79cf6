-- title: Two runs side by side
-- purpose: Calls, failures, time and tokens of two runs by kind of step and name, the largest difference in time first.
-- parameter a text: trace id of the first run
-- parameter b text: trace id of the second run
-- parameter limit integer = 50: rows at most
-- column step -: agent, model, tool or other
-- column name -: the agent, model, tool or span
-- column a_calls -: spans of the first
-- column b_calls -: spans of the second
-- column a_failures -: failed spans of the first
-- column b_failures -: failed spans of the second
-- column a_s s: of the first, added up
-- column b_s s: of the second, added up
-- column difference_s s: second less first
-- column a_tokens tokens: of the first, in and out
-- column b_tokens tokens: of the second, in and out
with steps as (
  select
    trace_id,
    coalesce(step_kind, 'other') as step,
    coalesce(case when step_kind = 'tool' then step_tool when step_kind = 'model' then step_model
      when step_kind = 'agent' then step_agent end, span_name) as name,
    case when kind = 'span' then 1 else 0 end as spans,
    case when step_failed then 1 else 0 end as failures,
    coalesce(duration, 0) as spent,
    coalesce(step_input_tokens, 0) + coalesce(step_output_tokens, 0) as tokens
  from records
  where trace_id in (:a, :b) and kind <> 'span_event'
)
select
  step,
  name,
  sum(case when trace_id = :a then spans else 0 end) as a_calls,
  sum(case when trace_id = :b then spans else 0 end) as b_calls,
  sum(case when trace_id = :a then failures else 0 end) as a_failures,
  sum(case when trace_id = :b then failures else 0 end) as b_failures,
  sum(case when trace_id = :a then spent else 0 end) as a_s,
  sum(case when trace_id = :b then spent else 0 end) as b_s,
  sum(case when trace_id = :b then spent else -spent end) as difference_s,
  sum(case when trace_id = :a then tokens else 0 end) as a_tokens,
  sum(case when trace_id = :b then tokens else 0 end) as b_tokens
from steps
group by step, name
having sum(spans) > 0
order by abs(sum(case when trace_id = :b then spent else -spent end)) desc, step, name
limit :limit
