-- title: What a run waited for
-- purpose: The chain of spans that kept the run from ending earlier: from the end of each span back to the child that ended last, then to
-- the last sibling that had ended before that one began.
-- parameter trace_id text: the run
-- column span_name -: name of the span
-- column agent -: the agent, where the span names it
-- column started_s s: after the run began
-- column duration s: from start to end
-- column own_s s: of it on the path itself, not in a child on the path
-- column span_id -: the span
-- show: gantt
with recursive spans as (
  select span_id, parent_span_id, span_name, step_agent as agent, duration,
    extract(epoch from start_timestamp) as begins, extract(epoch from end_timestamp) as ends
  from records
  where trace_id = :trace_id and kind = 'span'
),
last_child as (
  select parent_span_id as span_id, span_id as next_id
  from (
    select span_id, parent_span_id, row_number() over (partition by parent_span_id order by ends desc, span_id) as place
    from spans
    where parent_span_id is not null and parent_span_id <> span_id
  ) as children
  where place = 1
),
earlier_sibling as (
  select span_id, next_id
  from (
    select late.span_id as span_id, early.span_id as next_id,
      row_number() over (partition by late.span_id order by early.ends desc, early.span_id) as place
    from spans as late
    join spans as early on early.parent_span_id = late.parent_span_id
    where early.ends <= late.begins and early.span_id <> late.span_id
  ) as siblings
  where place = 1
),
steps as (
  select span_id, next_id from last_child
  union all
  select span_id, next_id from earlier_sibling
),
path as (
  select span_id, 0 as depth
  from (
    select s.span_id as span_id, row_number() over (order by s.ends desc, s.duration desc, s.span_id) as place
    from spans as s
    left join spans as above on above.span_id = s.parent_span_id
    where above.span_id is null
  ) as roots
  where place = 1
  union all
  select steps.next_id as span_id, path.depth + 1 as depth
  from path
  join steps on steps.span_id = path.span_id
  where path.depth < 1000
),
chosen as (
  select spans.span_id as span_id, spans.parent_span_id as parent_span_id, spans.span_name as span_name, spans.agent as agent,
    spans.duration as duration, spans.begins as begins, spans.ends as ends
  from spans
  where spans.span_id in (select span_id from path)
)
select
  chosen.span_name as span_name,
  chosen.agent as agent,
  chosen.begins - (select min(begins) from spans) as started_s,
  chosen.duration as duration,
  case when chosen.duration > coalesce(inner_time.spent, 0) then chosen.duration - coalesce(inner_time.spent, 0) else 0 end as own_s,
  chosen.span_id as span_id
from chosen
left join (
  select parent_span_id, sum(duration) as spent
  from chosen
  group by parent_span_id
) as inner_time on inner_time.parent_span_id = chosen.span_id
order by started_s, duration desc, span_id
