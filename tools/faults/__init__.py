"""The fault run: real exporters, a real registry and a real log, and everything that goes wrong between them."""
