-- title: Spans with an exception
-- purpose: Exceptions of all runs, the latest first.
-- parameter limit integer = 20: rows at most
-- column span_name -: name of the span
-- column exception_type -: class of the exception
-- column exception_message -: its text
-- column trace_id -: the run
-- column start_timestamp UTC: when it began
select span_name, exception_type, exception_message, trace_id, start_timestamp
from records
where is_exception = true
order by start_timestamp desc, span_id
limit :limit
