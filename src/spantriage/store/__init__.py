"""Spans kept for questions: a folder of small appended files, packed by day into Parquet. No database on the live path.

```
STORE/meta.json                                       layout version, promoted attributes
STORE/spool/<utc>-<host>-<pid>-<n>.jsonl              one writer each, rows as JSON lines
STORE/parquet/date=YYYY-MM-DD/<what it is made of>.parquet
STORE/findings/*.jsonl                                what was found in them
```
"""
