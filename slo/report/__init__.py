"""The error budgets of a month, or of any range, on one page: what was kept, what was spent on what, what is not known."""
