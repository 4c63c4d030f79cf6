-- title: Exceptions of a run
-- purpose: Every exception that a span of the run recorded, in their order.
-- parameter trace_id text: the run
-- column span_name -: name of the span
-- column exception_type -: class of the exception
-- column exception_message -: its text
-- column start_timestamp UTC: when it began
select span_name, exception_type, exception_message, start_timestamp
from records
where trace_id = :trace_id and is_exception = true
order by start_timestamp, span_id
