"""Web sites and servers that ask: pages, the gate, the API, the hosted checker."""
