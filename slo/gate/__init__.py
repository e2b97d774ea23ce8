"""May this release go from one channel to the next, now? Judged from what Prometheus holds, by a policy, with evidence."""
