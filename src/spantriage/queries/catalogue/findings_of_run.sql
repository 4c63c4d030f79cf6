-- title: What was found in a run
-- purpose: The findings of a run with their spans, the root cause first.
-- parameter trace_id text: the run
-- column severity -: info, warning, error or critical
-- column code -: what is wrong
-- column agent -: the agent
-- column span_name -: the span that shows it
-- column summary -: what happened
-- column primary_cause -: whether it is the root cause
-- column started UTC: when the span began
select
  findings.severity as severity,
  findings.code as code,
  findings.agent as agent,
  records.span_name as span_name,
  findings.summary as summary,
  findings."primary" as primary_cause,
  records.start_timestamp as started
from findings
left join records on records.trace_id = findings.trace_id and records.span_id = findings.span_id
where findings.trace_id = :trace_id
order by primary_cause desc, started, code
