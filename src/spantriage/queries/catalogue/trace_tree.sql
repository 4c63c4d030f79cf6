-- title: A run as a tree
-- purpose: Every span of a run below its parent, at any depth. A span whose parent is not there stands as a root.
-- parameter trace_id text: the run
-- column depth -: levels below the root
-- column span_name -: name of the span
-- column kind -: span, log or span_event
-- column duration s: from start to end
-- column started_s s: after the run began
-- column level -: 9 info, 13 warning, 17 error
-- column span_id -: the span
-- column parent_span_id -: the span above it; null for a root
-- instead of nested_trace: one level of indentation is the same for children and for their children.
-- show: tree
with recursive spans as (
  select
    span_id, parent_span_id, span_name, kind, duration, level, start_timestamp,
    row_number() over (order by start_timestamp, duration desc, span_id) as place
  from records
  where trace_id = :trace_id
),
tree as (
  select s.span_id as span_id, 0 as depth, lpad(cast(s.place as text), 8, '0') as path
  from spans as s
  left join spans as above on above.span_id = s.parent_span_id
  where above.span_id is null or s.parent_span_id = s.span_id
  union all
  select s.span_id as span_id, tree.depth + 1 as depth, tree.path || '.' || lpad(cast(s.place as text), 8, '0') as path
  from spans as s
  join tree on tree.span_id = s.parent_span_id
  where tree.depth < 100 and s.parent_span_id <> s.span_id
)
select
  tree.depth as depth,
  spans.span_name as span_name,
  spans.kind as kind,
  spans.duration as duration,
  extract(epoch from spans.start_timestamp) - (select min(extract(epoch from start_timestamp)) from spans) as started_s,
  spans.level as level,
  spans.span_id as span_id,
  spans.parent_span_id as parent_span_id
from tree
join spans on spans.span_id = tree.span_id
order by tree.path
