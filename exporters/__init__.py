"""The trust exporters: is the release signed, is it logged, and is the log honest?"""
