-- title: Time spent in spans themselves
-- purpose: By name, the time in which a span was open and none of its children was.
-- parameter trace_id text = null: one run only
-- parameter limit integer = 30: rows at most
-- column span_name -: name of the span
-- column spans -: spans of that name
-- column total_s s: of all, added up
-- column self_s s: of it outside their children
-- column self_share -: of all self time, 0 to 1
with spans as (
  select trace_id, span_id, parent_span_id, span_name, duration,
    extract(epoch from start_timestamp) as begins, extract(epoch from end_timestamp) as ends
  from records
  where kind = 'span'
    and (:trace_id::text is null or trace_id = :trace_id)
),
inside as (
  select
    above.trace_id as trace_id,
    above.span_id as span_id,
    case when child.begins > above.begins then child.begins else above.begins end as begins,
    case when child.ends < above.ends then child.ends else above.ends end as ends,
    child.span_id as child_id
  from spans as child
  join spans as above on above.trace_id = child.trace_id and above.span_id = child.parent_span_id
  where child.begins < above.ends and child.ends > above.begins
),
ordered as (
  select trace_id, span_id, begins, ends,
    max(ends) over (
      partition by trace_id, span_id
      order by begins, ends, child_id
      rows between unbounded preceding and 1 preceding
    ) as before
  from inside
),
covered as (
  select trace_id, span_id,
    sum(
      case when before is null or before <= begins then ends - begins when before < ends then ends - before else 0 end
    ) as spent
  from ordered
  group by trace_id, span_id
),
own as (
  select spans.span_name as span_name, spans.duration as duration,
    case when spans.duration > coalesce(covered.spent, 0) then spans.duration - coalesce(covered.spent, 0) else 0 end as self
  from spans
  left join covered on covered.trace_id = spans.trace_id and covered.span_id = spans.span_id
)
select
  span_name,
  count(*) as spans,
  sum(duration) as total_s,
  sum(self) as self_s,
  sum(self) / nullif((select sum(self) from own), 0) as self_share
from own
group by span_name
order by self_s desc, span_name
limit :limit
