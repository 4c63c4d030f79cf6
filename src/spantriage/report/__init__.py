"""Reports: what happened in a run, each sentence with its evidence, as Markdown and as one HTML file."""
