-- title: A run, roots and the rest
-- purpose: Every span of a run, indented by one level unless it is a root: see trace_tree for all levels.
-- parameter trace_id text: the run
-- column hierarchy -: name, indented
-- column duration s: from start to end
-- column span_id -: the span
-- column parent_span_id -: the span above it; null for a root
select
  case
    when parent_span_id is null then span_name
    else '  └─ ' || span_name
  end as hierarchy,
  duration,
  span_id,
  parent_span_id
from records
where trace_id = :trace_id
order by start_timestamp, span_id
