"""Is the transparency log up, does it include what it should, and has it kept its word?"""
