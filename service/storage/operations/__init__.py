"""What operators and clients watch: API keys, events, log lines and the monitor."""
