-- title: Exceptions whose stack trace names a file
-- purpose: The latest exceptions that went through a source file.
-- parameter file text: the end of the file's path, such as app/agents.py
-- parameter limit integer = 10: rows at most
-- column span_name -: name of the span
-- column exception_type -: class of the exception
-- column exception_message -: its text
-- column exception_stacktrace -: where it was raised
-- column trace_id -: the run
-- column span_id -: the span
-- column start_timestamp UTC: when it began
select span_name, exception_type, exception_message, exception_stacktrace, trace_id, span_id, start_timestamp
from records
where is_exception
  and strpos(exception_stacktrace, :file || '"') > 0
order by start_timestamp desc, span_id
limit :limit
