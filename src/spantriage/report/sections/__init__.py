"""The sections of a run's report, one file each: a function from what is known of the run to its section."""
