"""What travels through a third place: codes met over a relay, the Korean messages, push."""
