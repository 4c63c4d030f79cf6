-- title: What was found
-- purpose: Findings by code: how many, in how many runs, and what they wasted.
-- parameter trace_id text = null: one run only
-- column code -: what is wrong
-- column severity -: the most frequent first
-- column findings -: findings
-- column runs -: runs in which there are some
-- column agents -: agents that they are about
-- column root_causes -: of them the root cause of a run
-- column mean_score -: how likely they hold, 0 to 1
-- column wasted_tokens tokens: where it is known
-- column wasted_cost_usd USD: where it is known
select
  code,
  severity,
  count(*) as findings,
  count(distinct trace_id) as runs,
  count(distinct agent) as agents,
  sum(case when "primary" then 1 else 0 end) as root_causes,
  avg(score) as mean_score,
  sum(wasted_tokens) as wasted_tokens,
  sum(wasted_cost_usd) as wasted_cost_usd
from findings
where :trace_id::text is null or trace_id = :trace_id
group by code, severity
order by findings desc, code, severity
