"""A service that takes OTLP spans of any program, judges them as a live run's, keeps them and hands them on.

```
POST /v1/traces → receiving → inbox (on disk, then the answer) → road: worker · store · spans enriched → outbox (on disk) → forwarding
                                                                   └→ findings → sinks, outbox
```
What was acknowledged is on disk until it has been judged, kept and handed on; a service that is killed goes on where it was.
"""
